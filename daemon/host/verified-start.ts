import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import {
  MANIFEST_MAX_BYTES,
  MANIFEST_PROGRAM,
  type Manifest,
  type ManifestFile,
  openManifest,
} from '../formats/manifest.ts';
import { readBounded } from './durable-file.ts';
import { type Embedding, embedding } from './embedded.ts';
import { VERSION } from './version.ts';

/*
 * Whether this program is the one that was released: its own bytes, and the native parts that it carries, against a manifest
 * that the release key signed. It finds damage and clumsy changes. Who replaces program and manifest with his own has to be
 * found from outside (docs/decisions/0053-the-program-checks-itself.md).
 */

/** The line of the release key, among the embedded files. */
const RELEASE_KEY = 'release.pub';
const INSTALLED = '/usr/share/holdfast/holdfast.manifest';
const CHUNK = 4 * 1024 * 1024;
/** Set to `accept` by those who mean to run an unsigned build as an appliance. */
const UNSIGNED_VARIABLE = 'HOLDFAST_UNSIGNED';

/** What is checked; everything but `inside` has its place on a real host. */
export interface OwnProgram {
  inside: Embedding | null;
  /** The bytes that run, whatever lies under their name by now. */
  program: string;
  /** The name that it was started under: the manifest lies beside it. */
  path: string;
  manifests?: readonly string[];
}

/** What was found. `signed` with the manifest's path, or why nothing could be held against anything. */
export type OwnCheck =
  | { state: 'signed'; manifest: string; version: string; files: number }
  | { state: 'unsigned'; reason: 'checkout' | 'development_build' };

/**
 * Holds the running program against its manifest. A build without a release key is `unsigned`; one with a key, whose manifest
 * is missing, or says something else, throws `BoundaryError` `program.no_manifest`, `program.changed`, `manifest.*`.
 */
export async function checkOwnProgram(own: OwnProgram = running()): Promise<OwnCheck> {
  const { inside } = own;
  if (inside === null) return { state: 'unsigned', reason: 'checkout' };
  if (!inside.names.includes(RELEASE_KEY)) return { state: 'unsigned', reason: 'development_build' };
  const path = manifestOf(own);
  const text = Buffer.from(readBounded(path, MANIFEST_MAX_BYTES)).toString('utf8');
  const manifest = openManifest(text, Buffer.from(inside.read(RELEASE_KEY)).toString('utf8'));
  assertIsFor(manifest, path);
  assertSame(manifest, MANIFEST_PROGRAM, await digestOf(own.program), path);
  const native = inside.names.filter((name) => name.startsWith('native/'));
  for (const name of native) {
    const bytes = inside.read(name);
    assertSame(manifest, name, { sha256: sha256Hex(bytes), size: bytes.length }, path);
  }
  return { state: 'signed', manifest: path, version: manifest.version, files: 1 + native.length };
}

/**
 * What a role does first: throws where the program is not what was released, and for an unsigned one in the profile
 * `appliance` (`program.unsigned`), unless HOLDFAST_UNSIGNED=accept.
 */
export async function assertOwnProgram(
  profile: string,
  own: OwnProgram = running(),
  environ: Readonly<Record<string, string | undefined>> = process.env,
): Promise<OwnCheck> {
  const check = await checkOwnProgram(own);
  if (check.state === 'signed' || profile !== 'appliance' || environ[UNSIGNED_VARIABLE] === 'accept')
    return check;
  throw new BoundaryError(
    'program.unsigned',
    `This is an unsigned ${check.reason === 'checkout' ? 'checkout' : 'development build'}, and the profile appliance runs released programs only; nothing was started. Install a release, or accept this one on a machine for tests: ${UNSIGNED_VARIABLE}=accept.`,
  );
}

function running(): OwnProgram {
  return { inside: embedding(), program: '/proc/self/exe', path: process.execPath };
}

function manifestOf({ path, manifests }: OwnProgram): string {
  const places = manifests ?? [`${path}.manifest`, join(dirname(path), 'holdfast.manifest'), INSTALLED];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new BoundaryError(
    'program.no_manifest',
    `This program was released with a signed manifest, and there is none (${places.join(', ')}); nothing was started. Install the release again, as a whole.`,
  );
}

function assertIsFor({ version, platform }: Manifest, path: string): void {
  const own = `linux-${process.arch}`;
  if (version === VERSION && platform === own) return;
  throw new BoundaryError(
    'program.changed',
    `${path} is for holdfast ${version} on ${platform}; this is ${VERSION} on ${own}. Nothing was started. Install one release, as a whole.`,
    { at: path },
  );
}

function assertSame(manifest: Manifest, name: string, found: ManifestFile, path: string): void {
  const wanted = manifest.files.get(name);
  if (wanted?.sha256 === found.sha256 && wanted.size === found.size) return;
  throw new BoundaryError(
    'program.changed',
    `This program is not the one that was released: ${name} is ${wanted === undefined ? 'not in' : 'other than in'} the signed manifest. Nothing was started. Keep a copy of it for those who look into that, and install the release again.`,
    { at: path },
  );
}

async function digestOf(path: string): Promise<ManifestFile> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { sha256: hash.digest('hex'), size };
}
