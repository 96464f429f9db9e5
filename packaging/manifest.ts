import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256Hex } from '../daemon/formats/digest.ts';
import {
  formatManifest,
  MANIFEST_NAMESPACE,
  MANIFEST_PROGRAM,
  sealManifest,
} from '../daemon/formats/manifest.ts';
import { parsePublicKeyLine } from '../daemon/formats/sshsig.ts';
import type { Architecture } from './runtimes.ts';

/* What an executable holds itself against when it starts (daemon/host/verified-start.ts). */

/**
 * The public half of the release key, as one line: of `HOLDFAST_RELEASE_PUBLIC_KEY` (a `.pub` file, for who builds a release
 * again without its key), else beside `HOLDFAST_RELEASE_KEY`. Null for a development build. Throws for a file that is no key.
 */
export function releasePublicKey(environ: NodeJS.ProcessEnv): string | null {
  const { HOLDFAST_RELEASE_PUBLIC_KEY: named, HOLDFAST_RELEASE_KEY: secret } = environ;
  const path = named ?? (secret === undefined ? undefined : `${secret}.pub`);
  if (path === undefined) return null;
  if (!existsSync(path))
    throw new Error(`${path}: the public half of the release key is missing; nothing was packaged`);
  const { type, blob } = parsePublicKeyLine(readFileSync(path, 'utf8'));
  // Without the comment: it says who builds, and on which machine.
  return `${type} ${Buffer.from(blob).toString('base64')}\n`;
}

export interface ManifestParts {
  version: string;
  arch: Architecture;
  executable: Uint8Array;
  /** Bytes of the native addons, by name. */
  addons: Readonly<Record<string, Uint8Array>>;
  /** Path of the OpenSSH private key. */
  key: string;
}

/** The signed manifest of an executable. A key that asks for a passphrase or a touch does so on the terminal. */
export function signedManifest({ version, arch, executable, addons, key }: ManifestParts): Uint8Array {
  const of = (bytes: Uint8Array) => ({ sha256: sha256Hex(bytes), size: bytes.length });
  const native = Object.entries(addons).map(([name, bytes]) => [`native/${name}.node`, of(bytes)] as const);
  const files = new Map([[MANIFEST_PROGRAM, of(executable)] as const, ...native]);
  const text = formatManifest({ version, platform: `linux-${arch}`, files });
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-manifest-'));
  try {
    const path = join(dir, 'manifest');
    writeFileSync(path, text);
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-f', key, '-n', MANIFEST_NAMESPACE, path], {
      stdio: ['inherit', 'ignore', 'inherit'],
    });
    return Buffer.from(sealManifest(text, readFileSync(`${path}.sig`, 'utf8')));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
