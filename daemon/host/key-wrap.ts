import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64, toBase64 } from '../formats/digest.ts';
import { randomBytes } from './random.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

/*
 * Key files at rest. Where a site has a key-encryption key (KEK), every other secret key lies wrapped under it:
 *
 *     holdfast-wrapped-key/v1 PURPOSE KEK-ID
 *     BASE64(nonce, tag, ciphertext)
 *
 * AES-256-GCM; the first line is authenticated with it, so that a file cannot stand in for another purpose. A file that
 * is not wrapped is read as it is: sites without a KEK stay as they are.
 */

export const KEK_BYTES = 32;
const MAGIC = 'holdfast-wrapped-key/v1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Room for the first line and for base64. */
const OVERHEAD = 512;

/** What a key is for, as the wrapped file says it: `signing`, `sealing`, `digest`, `tls-authority`, `envelope-3`. */
export type KeyPurpose = string;

/** The key that all other secret keys of a site lie under. */
export interface KeyEncryptionKey {
  /** Tells KEKs apart and says nothing about them: 16 hex digits. */
  readonly id: string;
  /** Where it came from, for people. */
  readonly source: string;
  wrap(key: Uint8Array, purpose: KeyPurpose): Uint8Array;
  /** Throws BoundaryError `secret.other_kek`, `secret.malformed`. */
  unwrap(file: Uint8Array, purpose: KeyPurpose, path: string): Uint8Array;
}

/** The KEK of 32 secret bytes. */
export function keyEncryptionKey(secret: Uint8Array, source: string): KeyEncryptionKey {
  // One key, one purpose: what is shown of it never comes out of the cipher's key.
  const derive = (label: string) => createHmac('sha256', secret).update(label).digest();
  const key = derive('holdfast/key-wrap/v1');
  const id = derive('holdfast/kek-id/v1').toString('hex').slice(0, 16);
  return {
    id,
    source,
    wrap: (bytes, purpose) => wrap(key, id, bytes, purpose),
    unwrap: (file, purpose, path) => unwrap(key, id, file, purpose, path),
  };
}

/** Whether the bytes of a key file are a wrapped key; `kek` is the id of the KEK that it lies under. */
export function wrappedUnder(file: Uint8Array): { purpose: KeyPurpose; kek: string } | null {
  const [first = ''] = Buffer.from(file.subarray(0, OVERHEAD)).toString('latin1').split('\n', 1);
  const [, purpose, kek] = /^holdfast-wrapped-key\/v1 ([a-z0-9-]{1,64}) ([0-9a-f]{16})$/.exec(first) ?? [];
  return purpose === undefined || kek === undefined ? null : { purpose, kek };
}

/**
 * Reads a key file, unwrapping it where it is wrapped. Throws BoundaryError `secret.*`: `secret.wrapped` when it is
 * wrapped and there is no KEK, `secret.other_kek` when it lies under another one.
 */
export function readKey(
  path: string,
  max: number,
  purpose: KeyPurpose,
  kek: KeyEncryptionKey | null,
): Uint8Array {
  const file = readSecretFile(path, max * 2 + OVERHEAD);
  const wrapped = wrappedUnder(file);
  if (wrapped === null) {
    if (file.length > max) throw malformed(path, `it has more than ${max} bytes`);
    return file;
  }
  if (kek !== null) return kek.unwrap(file, purpose, path);
  throw new BoundaryError(
    'secret.wrapped',
    `${path} is wrapped under the key-encryption key ${wrapped.kek}, which is not here; the key was not used. Give it to this process: as the credential holdfast-kek, or by /secrets/kek_file in holdfast.json.`,
    { at: path },
  );
}

/** Writes a new key file, wrapped where there is a KEK. Throws `secret.exists` (BoundaryError) rather than replace one. */
export function writeKey(
  path: string,
  key: Uint8Array,
  purpose: KeyPurpose,
  kek: KeyEncryptionKey | null,
): void {
  writeSecretFile(path, kek === null ? key : kek.wrap(key, purpose));
}

function wrap(key: Uint8Array, id: string, bytes: Uint8Array, purpose: KeyPurpose): Uint8Array {
  const first = `${MAGIC} ${purpose} ${id}`;
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(first, 'latin1'));
  const body = Buffer.concat([cipher.update(bytes), cipher.final()]);
  const sealed = Buffer.concat([nonce, cipher.getAuthTag(), body]);
  return Buffer.from(`${first}\n${toBase64(sealed)}\n`, 'latin1');
}

function unwrap(
  key: Uint8Array,
  id: string,
  file: Uint8Array,
  purpose: KeyPurpose,
  path: string,
): Uint8Array {
  const wrapped = wrappedUnder(file);
  if (wrapped === null) throw malformed(path, 'it is not wrapped');
  if (wrapped.purpose !== purpose)
    throw malformed(path, `it is the key for ${wrapped.purpose}, not for ${purpose}`);
  if (wrapped.kek !== id) {
    throw new BoundaryError(
      'secret.other_kek',
      `${path} is wrapped under the key-encryption key ${wrapped.kek}; the one at hand is ${id}. The key was not used. Give this process the right one: it may be that of another site, or an older one.`,
      { at: path },
    );
  }
  const [first = '', encoded = '', ...rest] = Buffer.from(file).toString('latin1').split('\n');
  if (rest.join('') !== '') throw malformed(path, 'something follows the key');
  try {
    const sealed = fromBase64(encoded);
    const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(Buffer.from(first, 'latin1'))
      .setAuthTag(tag);
    const body = sealed.subarray(NONCE_BYTES + TAG_BYTES);
    return new Uint8Array(Buffer.concat([decipher.update(body), decipher.final()]));
  } catch {
    // The cause could quote the key.
    throw malformed(path, 'it was changed since it was written');
  }
}

function malformed(path: string, why: string): BoundaryError {
  return new BoundaryError(
    'secret.malformed',
    `${path} cannot be used as a key: ${why}. Nothing was signed or opened with it. Restore it from a backup.`,
    { at: path },
  );
}
