import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded, syncDir, writeDurable } from './durable-file.ts';
import { randomBytes } from './random.ts';

/**
 * Writes a new key file, 0600, durably. Throws `secret.exists` (BoundaryError) rather than replace one: whatever the old
 * key signed or sealed would be lost with it.
 */
export function writeSecretFile(path: string, bytes: Uint8Array): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    throw new BoundaryError(
      'secret.exists',
      `${path} is there already; no key was made. Keys are rotated, never overwritten.`,
      { at: path },
    );
  }
  writeDurable(path, bytes, 0o600);
}

/**
 * Reads a key file, and only one that nobody else can read or replace: a regular file of the running user with no
 * permission for group and others. Else `secret.exposed` or `secret.wrong_owner` (BoundaryError): a key that others
 * could have read is not used.
 */
export function readSecretFile(path: string, max: number): Uint8Array {
  const bytes = readBounded(path, max);
  const stat = lstatSync(path);
  if ((stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw new BoundaryError(
      'secret.exposed',
      `${path} has mode ${mode}, so others may have read the key; it was not used. Find out who could read it, then \`chmod 600\` it or make a new key.`,
      { at: path },
    );
  }
  if (stat.uid !== process.geteuid?.()) {
    throw new BoundaryError(
      'secret.wrong_owner',
      `${path} belongs to user ${stat.uid}, not to the user of this process; the key was not used. Run as the site's user.`,
      { at: path },
    );
  }
  return bytes;
}

/**
 * Puts other bytes in the place of a key file, whole or not at all, and then overwrites the old ones. What that is worth:
 * see `destroySecretFile`.
 */
export function replaceSecretFile(path: string, bytes: Uint8Array): void {
  const old = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    writeDurable(path, bytes, 0o600);
    overwrite(old);
  } finally {
    closeSync(old);
  }
}

/**
 * Destroys a key file: overwrites it in place, then removes its name, both durably. On flash, on copy-on-write file systems
 * and in backups older bytes may outlive this; only an encrypted volume below helps there.
 */
export function destroySecretFile(path: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    overwrite(file);
  } finally {
    closeSync(file);
  }
  unlinkSync(path);
  syncDir(dirname(path));
}

function overwrite(file: number): void {
  writeSync(file, randomBytes(fstatSync(file).size), 0, undefined, 0);
  fsyncSync(file);
}
