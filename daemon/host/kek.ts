import { basename, dirname } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { SecretsConfig } from './config/secrets.ts';
import { readCredential } from './credential.ts';
import { KEK_BYTES, type KeyEncryptionKey, keyEncryptionKey } from './key-wrap.ts';

/** Name of the credential that holds the key-encryption key (systemd: `LoadCredentialEncrypted=holdfast-kek:…`). */
export const KEK_CREDENTIAL = 'holdfast-kek';
const MAX_KEK_FILE = 1_024;

/**
 * The site's key-encryption key: the credential `holdfast-kek` of this process, else the file that the configuration
 * names, else null (key files lie unwrapped). Throws BoundaryError `kek.missing`, `kek.malformed`, `credential.*`.
 */
export function findKek(
  { kek_file }: SecretsConfig,
  env: Readonly<Record<string, string | undefined>> = process.env,
): KeyEncryptionKey | null {
  const directory = env.CREDENTIALS_DIRECTORY;
  const credential =
    directory === undefined || directory === ''
      ? null
      : readCredential(directory, KEK_CREDENTIAL, MAX_KEK_FILE);
  if (credential !== null) return parseKek(credential, `credential ${KEK_CREDENTIAL}`);
  return kek_file === null ? null : readKekFile(kek_file);
}

/** The KEK in a file. Throws BoundaryError `kek.missing`, `kek.malformed`, `credential.*`. */
export function readKekFile(path: string): KeyEncryptionKey {
  const bytes = readCredential(dirname(path), basename(path), MAX_KEK_FILE);
  if (bytes !== null) return parseKek(bytes, `file ${path}`);
  throw new BoundaryError(
    'kek.missing',
    `The key-encryption key ${path} is not there (removable media not mounted?); no key of this site was opened. Put it there.`,
    { at: path },
  );
}

/** 32 bytes, as they are or in base64 on one line. */
function parseKek(bytes: Uint8Array, source: string): KeyEncryptionKey {
  if (bytes.length === KEK_BYTES) return keyEncryptionKey(bytes, source);
  const text = Buffer.from(bytes).toString('latin1');
  if (/^[A-Za-z0-9+/]{43}=\n?$/.test(text)) return keyEncryptionKey(Buffer.from(text, 'base64'), source);
  throw new BoundaryError(
    'kek.malformed',
    `The key-encryption key (${source}) must be ${KEK_BYTES} random bytes, as they are or in base64 on one line; no key of this site was opened. Make one: head -c ${KEK_BYTES} /dev/urandom`,
  );
}
