import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded } from './durable-file.ts';
import { type KeyEncryptionKey, type KeyPurpose, readKey, wrappedUnder } from './key-wrap.ts';
import { readSecretFile, replaceSecretFile } from './secret-file.ts';

/** Larger than any key file, wrapped or not. */
const MAX_BYTES = 65_536;

/** A secret key file of the site, and how it lies there. */
export interface KeyFile {
  name: string;
  purpose: KeyPurpose;
  /** Id of the key-encryption key that it lies under; null: it lies open. */
  kek: string | null;
}

/** What a file under `state/keys` is for; null for what is no key of the daemon. */
function purposeOf(name: string): KeyPurpose | null {
  if (/^ledger\.key(\.next|\.retired)?$/.test(name)) return 'signing';
  if (name === 'tls-authority.key') return 'tls-authority';
  if (name === 'sealing.key') return 'sealing';
  if (name === 'digest.key') return 'digest';
  return /^envelope-[1-9][0-9]{0,5}\.key$/.test(name) ? name.slice(0, -'.key'.length) : null;
}

/** The key files in a directory. Throws BoundaryError `secret.*`, `file.*`, and the system's error for the directory. */
export function listKeyFiles(directory: string): KeyFile[] {
  return keyFiles(directory, readSecretFile);
}

/**
 * The same for who only looks, such as root: the files may belong to another user and have any mode, and no key is used.
 * Throws BoundaryError `file.*`, and the system's error for the directory.
 */
export function seeKeyFiles(directory: string): KeyFile[] {
  return keyFiles(directory, readBounded);
}

function keyFiles(directory: string, read: (path: string, max: number) => Uint8Array): KeyFile[] {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const purpose = purposeOf(name);
      if (purpose === null) return [];
      const wrapped = wrappedUnder(read(join(directory, name), MAX_BYTES));
      return [{ name, purpose, kek: wrapped?.kek ?? null }];
    });
}

/**
 * Puts every key file of a directory under `kek`, one after the other, each whole or not at all: those that lie open, and
 * those under `before`. Returns the names of those that were changed; a second call after a crash does the rest. Throws
 * BoundaryError `secret.other_kek` for a file under a third one; what was done before it stays done.
 */
export function wrapKeyFiles(
  directory: string,
  kek: KeyEncryptionKey,
  before: KeyEncryptionKey | null,
): string[] {
  const files = listKeyFiles(directory).filter((file) => file.kek !== kek.id);
  for (const { name, purpose, kek: under } of files) {
    const path = join(directory, name);
    if (under !== null && under !== before?.id) throw underAnother(path, under);
    replaceSecretFile(path, kek.wrap(readKey(path, MAX_BYTES, purpose, before), purpose));
  }
  return files.map(({ name }) => name);
}

function underAnother(path: string, kek: string): BoundaryError {
  return new BoundaryError(
    'secret.other_kek',
    `${path} lies under the key-encryption key ${kek}; it was left as it is. Name the file of that key with --from.`,
    { at: path },
  );
}
