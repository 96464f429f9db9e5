import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { BoundaryError } from '../formats/boundary-error.ts';
import { randomBytes } from './random.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/** Encrypts what may not enter the ledger (sensitive payload fields); the key stays behind it. */
export interface Sealer {
  /** `bytes` under AES-256-GCM, bound to `context` (not stored): version, nonce, tag, ciphertext. */
  seal(bytes: Uint8Array, context: string): Uint8Array;
  /** Throws BoundaryError `sealed.damaged` unless `sealed` is unchanged and was sealed for the same context and key. */
  open(sealed: Uint8Array, context: string): Uint8Array;
  /** Hex HMAC-SHA256: a digest that nobody without the key can guess the input of. */
  mac(bytes: Uint8Array): string;
}

/** Writes a new random key file, 0600. Throws `secret.exists` rather than replace one: that would lose what it sealed. */
export function createSealingKey(path: string): void {
  writeSecretFile(path, randomBytes(KEY_BYTES));
}

/** Loads the key file that `createSealingKey` wrote. Throws BoundaryError `secret.*` for a wrong mode, owner or length. */
export function loadSealer(path: string): Sealer {
  const key = readSecretFile(path, KEY_BYTES);
  if (key.length !== KEY_BYTES) {
    throw new BoundaryError(
      'secret.malformed',
      `${path} should hold ${KEY_BYTES} bytes and holds ${key.length}; nothing can be sealed or opened. Restore it from a backup.`,
      { at: path },
    );
  }
  // One key, one purpose: encryption and digests never share it.
  const macKey = createHmac('sha256', key).update('holdfast/mac/v1').digest();
  return {
    seal: (bytes, context) => seal(key, bytes, context),
    open: (sealed, context) => open(key, sealed, context),
    mac: (bytes) => createHmac('sha256', macKey).update(bytes).digest('hex'),
  };
}

function seal(key: Uint8Array, bytes: Uint8Array, context: string): Uint8Array {
  // Random 96-bit nonces: good for 2^32 values under one key (NIST SP 800-38D §8.3).
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context, 'utf8'));
  const body = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return new Uint8Array(Buffer.concat([Uint8Array.of(VERSION), nonce, cipher.getAuthTag(), body]));
}

function open(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array {
  if (sealed.length < HEADER_BYTES || sealed[0] !== VERSION) throw damaged();
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const tag = sealed.subarray(1 + NONCE_BYTES, HEADER_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context, 'utf8'))
    .setAuthTag(tag);
  try {
    return new Uint8Array(Buffer.concat([decipher.update(sealed.subarray(HEADER_BYTES)), decipher.final()]));
  } catch (cause) {
    throw damaged(cause);
  }
}

function damaged(cause?: unknown): BoundaryError {
  return new BoundaryError(
    'sealed.damaged',
    'A sealed value was changed, or sealed under another key or for another place; it was not opened.',
    { cause },
  );
}
