import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { BoundaryError } from '../formats/boundary-error.ts';
import { EnvelopeKeyFiles } from './envelope-keys.ts';
import { type KeyEncryptionKey, writeKey } from './key-wrap.ts';
import { randomBytes } from './random.ts';

/*
 * Envelopes at rest. Each value is encrypted under a key of its own (the data key), which lies wrapped under an envelope
 * key beside it. So a value is destroyed with its data key, and envelope keys change without touching any value. Envelope
 * keys are counted: each is an epoch.
 */

const VERSION = 2;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/** A value as it is stored: neither half is of use without the other. */
export interface Sealed {
  /** Which envelope key `key` lies under. */
  epoch: number;
  /** The wrapped data key. */
  key: Uint8Array;
  bytes: Uint8Array;
}

/** Encrypts what may not enter the ledger (sensitive payload fields); the keys stay behind it. */
export interface Sealer {
  /** The envelope key that new values get. */
  readonly epoch: number;
  /** Every envelope key at hand, ascending. */
  readonly epochs: readonly number[];
  /** `bytes` under AES-256-GCM and a new data key, bound to `context` (not stored): version, nonce, tag, ciphertext. */
  seal(bytes: Uint8Array, context: string): Sealed;
  /**
   * Throws BoundaryError `sealed.damaged` unless `sealed` is unchanged and was sealed for the same context and key,
   * `sealed.no_key` when the envelope key is not here.
   */
  open(sealed: Sealed, context: string): Uint8Array;
  /** The same data key under the current envelope key. Throws as `open` does. */
  rewrap(sealed: Pick<Sealed, 'epoch' | 'key'>, context: string): Pick<Sealed, 'epoch' | 'key'>;
  /** Hex HMAC-SHA256: a digest that nobody without the key can guess the input of. */
  mac(bytes: Uint8Array): string;
  /** Makes the key of an epoch, durably; it is not used yet. One that is left from an attempt is replaced. */
  make(epoch: number): void;
  /** New values get the key of this epoch from now on. Throws BoundaryError `sealed.no_key`. */
  use(epoch: number): void;
  /** Destroys the keys of all epochs before this one: what lies under them only is lost. */
  retireBefore(epoch: number): void;
}

/** Writes the first key file of a site, 0600. Throws `secret.exists` rather than replace one: that would lose what it sealed. */
export function createSealingKey(path: string, kek: KeyEncryptionKey | null = null): void {
  writeKey(path, randomBytes(KEY_BYTES), 'sealing', kek);
}

/**
 * Loads the keys of a site's envelopes from the directory of `path`, the file that `createSealingKey` wrote; it may have
 * been rotated out since. Throws BoundaryError `secret.*` for a wrong mode, owner or length, or where keys are missing.
 */
export function loadSealer(path: string, kek: KeyEncryptionKey | null = null): Sealer {
  return new EnvelopeSealer(new EnvelopeKeyFiles(path, kek));
}

class EnvelopeSealer implements Sealer {
  readonly #files: EnvelopeKeyFiles;
  readonly #keys: Map<number, Uint8Array>;
  readonly #macKey: Uint8Array;
  #epoch: number;

  constructor(files: EnvelopeKeyFiles) {
    this.#files = files;
    const { keys, macKey } = files.load();
    this.#keys = keys;
    this.#macKey = macKey;
    this.#epoch = Math.min(...keys.keys());
  }

  get epoch(): number {
    return this.#epoch;
  }

  get epochs(): readonly number[] {
    return [...this.#keys.keys()].sort((a, b) => a - b);
  }

  seal(bytes: Uint8Array, context: string): Sealed {
    const dataKey = randomBytes(KEY_BYTES);
    const key = encrypt(this.#keyOf(this.#epoch), dataKey, keyContext(this.#epoch, context));
    return { epoch: this.#epoch, key, bytes: encrypt(dataKey, bytes, valueContext(context)) };
  }

  open({ epoch, key, bytes }: Sealed, context: string): Uint8Array {
    const dataKey = decrypt(this.#keyOf(epoch), key, keyContext(epoch, context));
    return decrypt(dataKey, bytes, valueContext(context));
  }

  rewrap({ epoch, key }: Pick<Sealed, 'epoch' | 'key'>, context: string): Pick<Sealed, 'epoch' | 'key'> {
    const dataKey = decrypt(this.#keyOf(epoch), key, keyContext(epoch, context));
    const next = this.#epoch;
    return { epoch: next, key: encrypt(this.#keyOf(next), dataKey, keyContext(next, context)) };
  }

  mac(bytes: Uint8Array): string {
    return createHmac('sha256', this.#macKey).update(bytes).digest('hex');
  }

  make(epoch: number): void {
    this.#keys.set(epoch, this.#files.make(epoch));
  }

  use(epoch: number): void {
    this.#keyOf(epoch);
    this.#epoch = epoch;
  }

  retireBefore(epoch: number): void {
    for (const old of this.epochs.filter((each) => each < epoch)) {
      this.#files.destroy(old);
      this.#keys.get(old)?.fill(0);
      this.#keys.delete(old);
    }
  }

  #keyOf(epoch: number): Uint8Array {
    const key = this.#keys.get(epoch);
    if (key !== undefined) return key;
    throw new BoundaryError(
      'sealed.no_key',
      `The envelope key of epoch ${epoch} is not in state/keys, so what lies under it cannot be opened. It was rotated out, or state/keys is older than the ledger: restore both from the same backup.`,
    );
  }
}

/** What a wrapped data key is bound to: it opens nothing in another place, nor under another epoch's number. */
function keyContext(epoch: number, context: string): string {
  return `holdfast/data-key/v1 ${epoch} ${context}`;
}

function valueContext(context: string): string {
  return `holdfast/envelope/v1 ${context}`;
}

function encrypt(key: Uint8Array, bytes: Uint8Array, context: string): Uint8Array {
  // Random 96-bit nonces: good for 2^32 data keys under one envelope key (NIST SP 800-38D §8.3).
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context, 'utf8'));
  const body = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return new Uint8Array(Buffer.concat([Uint8Array.of(VERSION), nonce, cipher.getAuthTag(), body]));
}

function decrypt(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array {
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
