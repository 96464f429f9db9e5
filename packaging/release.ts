import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checksums } from './tarball.ts';

/* What says that files are a release: their digests, and a signature over these by the key of whoever releases. */

const SUMS = 'SHA256SUMS';
/** SSHSIG namespace: what this key signs as a release is nothing else. */
export const RELEASE_NAMESPACE = 'holdfast-release';

/** Writes `SHA256SUMS` over all plain files in `out`. */
export function writeChecksums(out: string): void {
  const files = readdirSync(out, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith(SUMS))
    .map(({ name }) => ({ path: name, content: readFileSync(join(out, name)) }));
  writeFileSync(join(out, SUMS), checksums(files));
}

/**
 * Signs `SHA256SUMS` with an OpenSSH private key: `SHA256SUMS.sig`, which `ssh-keygen -Y verify -n holdfast-release` checks.
 * A key that asks for a passphrase or a touch does so on the terminal.
 */
export function signChecksums(out: string, key: string): void {
  const path = join(out, SUMS);
  execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-f', key, '-n', RELEASE_NAMESPACE, path], {
    stdio: ['inherit', 'ignore', 'inherit'],
  });
}
