import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { Decrypter, Encrypter } from 'age-encryption';
import { BoundaryError } from '../formats/boundary-error.ts';
import { randomBytes } from './random.ts';

/*
 * age files (age-encryption.org/v1) of any size, as streams. The header, where the recipients' cryptography is, is the
 * library's. The payload is here: ChaCha20-Poly1305 in chunks of 64 KiB by the C2SP spec's STREAM, over node:crypto, which
 * is many times as fast as the library's own. A test holds one against the other, and against the `age` program.
 */

/** age spec, "Payload": plaintext bytes of every chunk but the last. */
const CHUNK = 64 * 1024;
const TAG = 16;
const NONCE = 16;
const CIPHER = 'chacha20-poly1305';
/** Room for hundreds of recipients. */
const HEADER_MAX = 64 * 1024;
const RECIPIENTS_MAX = 32;

/**
 * A stream that encrypts to all of the recipients (`age1…`): plaintext in, age file out. Throws `BoundaryError`
 * `age.recipient` for none, too many, or one that is malformed.
 */
export async function ageEncryption(recipients: readonly string[]): Promise<Transform> {
  if (recipients.length === 0 || recipients.length > RECIPIENTS_MAX) {
    throw new BoundaryError(
      'age.recipient',
      `Encrypt to 1 to ${RECIPIENTS_MAX} recipients, not ${recipients.length}; nothing was written.`,
    );
  }
  const { header, fileKey } = await makeHeader(recipients);
  const nonce = randomBytes(NONCE);
  const key = payloadKey(fileKey, nonce);
  fileKey.fill(0);
  return new PayloadEncryption(Buffer.concat([header, nonce]), key);
}

/** A secret key that was given in place of its public half is not repeated. */
function shown(recipient: string): string {
  return recipient.startsWith('AGE-') ? 'What was given' : JSON.stringify(recipient.slice(0, 80));
}

/** A header for a new file key: what the library writes around an empty file. */
async function makeHeader(
  recipients: readonly string[],
): Promise<{ header: Uint8Array; fileKey: Uint8Array }> {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (cause) {
      throw new BoundaryError(
        'age.recipient',
        `${shown(recipient)} is not an age recipient (age1…); nothing was written. Whoever is to open the backup makes one with age-keygen.`,
        { cause },
      );
    }
  }
  let fileKey = new Uint8Array();
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const empty = await encrypter.encrypt(new Uint8Array());
  return { header: empty.subarray(0, empty.length - NONCE - TAG), fileKey };
}

/**
 * A stream that decrypts with any of the identities (`AGE-SECRET-KEY-…`): age file in, plaintext out. Every byte that comes
 * out is authentic and in its place; that the file is whole is known when the stream ends. It fails with `BoundaryError`
 * `age.malformed`, `age.identity` (for nobody here), `age.damaged` (changed or cut off). Throws `age.identity_file`.
 */
export function ageDecryption(identities: readonly string[]): Transform {
  const decrypter = new Decrypter();
  for (const identity of identities) {
    try {
      decrypter.addIdentity(identity);
    } catch {
      // Neither the text nor the cause: they are the key.
      throw noIdentities();
    }
  }
  if (identities.length === 0) throw noIdentities();
  return new PayloadDecryption(decrypter);
}

/** The identities of a key file as age-keygen writes it. Throws `BoundaryError` `age.identity_file`. */
export function parseIdentities(text: string): string[] {
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length > 0 && lines.every((line) => line.startsWith('AGE-SECRET-KEY-'))) return lines;
  throw noIdentities();
}

function noIdentities(): BoundaryError {
  return new BoundaryError(
    'age.identity_file',
    'The identity file holds no age identities (lines AGE-SECRET-KEY-1…, as age-keygen writes them); nothing was decrypted.',
  );
}

/** age spec, "Payload": HKDF-SHA-256 of the file key, salt = nonce, info = "payload". */
function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** age spec, "Payload": an 11-byte big-endian counter, and a byte that is 1 for the last chunk. */
function chunkNonce(counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(counter, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

/** Bytes that arrive in any pieces, taken away in the sizes that are wanted. */
class Pieces {
  #pieces: Buffer[] = [];
  length = 0;

  put(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.length += piece.length;
  }

  take(length: number): Buffer {
    const first = this.#pieces[0];
    const all = first !== undefined && first.length >= length ? first : Buffer.concat(this.#pieces);
    this.#pieces = all === first ? this.#pieces.slice(1) : [];
    if (all.length > length) this.#pieces.unshift(all.subarray(length));
    this.length -= length;
    return all.subarray(0, length);
  }

  peek(max: number): Buffer {
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [whole];
    return whole.subarray(0, max);
  }
}

class PayloadEncryption extends Transform {
  readonly #key: Buffer;
  readonly #pieces = new Pieces();
  #counter = 0;

  constructor(head: Buffer, key: Buffer) {
    super({ highWaterMark: 4 * CHUNK });
    this.#key = key;
    this.push(head);
  }

  override _transform(piece: Buffer, _encoding: string, done: TransformCallback): void {
    this.#pieces.put(piece);
    // A full chunk is the last one if nothing follows: so one byte more is waited for.
    while (this.#pieces.length > CHUNK) this.#seal(this.#pieces.take(CHUNK), false);
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#seal(this.#pieces.take(this.#pieces.length), true);
    this.#key.fill(0);
    done();
  }

  #seal(chunk: Buffer, isLast: boolean): void {
    const cipher = createCipheriv(CIPHER, this.#key, chunkNonce(this.#counter++, isLast), {
      authTagLength: TAG,
    });
    this.push(cipher.update(chunk));
    cipher.final();
    this.push(cipher.getAuthTag());
  }
}

class PayloadDecryption extends Transform {
  readonly #decrypter: Decrypter;
  readonly #pieces = new Pieces();
  #key: Buffer | null = null;
  #counter = 0;

  constructor(decrypter: Decrypter) {
    super({ highWaterMark: 4 * CHUNK });
    this.#decrypter = decrypter;
  }

  override _transform(piece: Buffer, _encoding: string, done: TransformCallback): void {
    this.#pieces.put(piece);
    this.#advance().then(
      () => done(),
      (error: Error) => done(error),
    );
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#key === null) throw malformed();
      this.#open(this.#pieces.take(this.#pieces.length), true);
      this.#key.fill(0);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  async #advance(): Promise<void> {
    if (this.#key === null && !(await this.#readHeader())) return;
    while (this.#pieces.length > CHUNK + TAG) this.#open(this.#pieces.take(CHUNK + TAG), false);
  }

  /** False while there is not enough of the file. */
  async #readHeader(): Promise<boolean> {
    const start = this.#pieces.peek(HEADER_MAX);
    const text = start.toString('latin1');
    const [mac] = /\n--- [A-Za-z0-9+/]{43}\n/.exec(text) ?? [];
    const isAge = 'age-encryption.org/v1\n'.startsWith(text.slice(0, 22));
    if (!isAge || (mac === undefined && start.length === HEADER_MAX)) throw malformed();
    if (mac === undefined) return false;
    const length = text.indexOf(mac) + mac.length;
    if (this.#pieces.length < length + NONCE) return false;
    const fileKey = await this.#fileKey(this.#pieces.take(length));
    this.#key = payloadKey(fileKey, this.#pieces.take(NONCE));
    fileKey.fill(0);
    return true;
  }

  async #fileKey(header: Buffer): Promise<Uint8Array> {
    try {
      return await this.#decrypter.decryptHeader(header);
    } catch (cause) {
      if (cause instanceof Error && cause.message.includes('no identity matched')) {
        throw new BoundaryError(
          'age.identity',
          'The file is encrypted to none of the identities that were given; nothing was decrypted. Use the key file of one of its recipients.',
        );
      }
      throw damaged(0);
    }
  }

  #open(sealed: Buffer, isLast: boolean): void {
    const counter = this.#counter++;
    // "The last chunk … MUST NOT be empty unless the whole payload is empty."
    if (sealed.length < TAG || (isLast && sealed.length === TAG && counter > 0)) throw damaged(counter);
    const decipher = createDecipheriv(CIPHER, this.#key ?? Buffer.alloc(0), chunkNonce(counter, isLast), {
      authTagLength: TAG,
    });
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    const plain = decipher.update(sealed.subarray(0, sealed.length - TAG));
    try {
      decipher.final();
    } catch {
      throw damaged(counter);
    }
    // Only now: what is not authentic never leaves.
    if (plain.length > 0) this.push(plain);
  }
}

function malformed(): BoundaryError {
  return new BoundaryError(
    'age.malformed',
    'The file is not an age file (age-encryption.org/v1), or only the beginning of one; nothing was decrypted.',
  );
}

function damaged(chunk: number): BoundaryError {
  return new BoundaryError(
    'age.damaged',
    `The file was changed or cut off: its part ${chunk} (of 64 KiB) is not as it was encrypted. Nothing of it was used. Take another copy, or an older backup.`,
  );
}
