import { createHmac } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type KeyEncryptionKey, readKey, writeKey } from './key-wrap.ts';
import { randomBytes } from './random.ts';
import { destroySecretFile } from './secret-file.ts';

const KEY_BYTES = 32;
/** The key of digests, once the sealing key that it was derived from is gone. */
const DIGEST_KEY = 'digest.key';

/**
 * The files of the envelope keys. A site begins with one key file, `sealing.key`: envelope key of epoch 0, and root of the
 * key of digests. Rotation adds `envelope-N.key`; when epoch 0 goes, the key of digests stays behind in a file of its own,
 * because digests in the ledger must stay comparable.
 */
export class EnvelopeKeyFiles {
  readonly #sealing: string;
  readonly #directory: string;
  readonly #kek: KeyEncryptionKey | null;

  constructor(sealing: string, kek: KeyEncryptionKey | null) {
    this.#sealing = sealing;
    this.#directory = dirname(sealing);
    this.#kek = kek;
  }

  /** Every envelope key by its epoch, and the key of digests. */
  load(): { keys: Map<number, Uint8Array>; macKey: Uint8Array } {
    const keys = new Map<number, Uint8Array>();
    const digest = join(this.#directory, DIGEST_KEY);
    const kept = existsSync(digest);
    // Missing where it is needed is said in the words of a missing file.
    const sealing = kept && !existsSync(this.#sealing) ? null : this.#read(this.#sealing, 'sealing');
    if (sealing !== null) keys.set(0, derived(sealing, 'holdfast/envelope-key/v1'));
    for (const epoch of this.#epochs()) keys.set(epoch, this.#read(this.#path(epoch), `envelope-${epoch}`));
    if (keys.size === 0) throw noKeys(this.#directory);
    const macKey = kept ? this.#read(digest, 'digest') : macKeyOf(sealing ?? new Uint8Array());
    return { keys, macKey };
  }

  make(epoch: number): Uint8Array {
    const path = this.#path(epoch);
    // Nothing was ever sealed under a key whose rotation was not recorded.
    if (existsSync(path)) destroySecretFile(path);
    const key = randomBytes(KEY_BYTES);
    writeKey(path, key, `envelope-${epoch}`, this.#kek);
    return key;
  }

  destroy(epoch: number): void {
    if (epoch === 0) this.#keepDigests();
    const path = epoch === 0 ? this.#sealing : this.#path(epoch);
    if (existsSync(path)) destroySecretFile(path);
  }

  #keepDigests(): void {
    const path = join(this.#directory, DIGEST_KEY);
    if (existsSync(path) || !existsSync(this.#sealing)) return;
    writeKey(path, macKeyOf(this.#read(this.#sealing, 'sealing')), 'digest', this.#kek);
  }

  #epochs(): number[] {
    return readdirSync(this.#directory).flatMap((name) => {
      const epoch = /^envelope-([1-9][0-9]{0,5})\.key$/.exec(name)?.[1];
      return epoch === undefined ? [] : Number(epoch);
    });
  }

  #path(epoch: number): string {
    return join(this.#directory, `envelope-${epoch}.key`);
  }

  #read(path: string, purpose: string): Uint8Array {
    const key = readKey(path, KEY_BYTES, purpose, this.#kek);
    if (key.length === KEY_BYTES) return key;
    throw new BoundaryError(
      'secret.malformed',
      `${path} should hold ${KEY_BYTES} bytes and holds ${key.length}; nothing can be sealed or opened. Restore it from a backup.`,
      { at: path },
    );
  }
}

/** One key, one purpose: encryption and digests never share it. */
function derived(key: Uint8Array, label: string): Uint8Array {
  return new Uint8Array(createHmac('sha256', key).update(label).digest());
}

function macKeyOf(sealing: Uint8Array): Uint8Array {
  return derived(sealing, 'holdfast/mac/v1');
}

function noKeys(directory: string): BoundaryError {
  return new BoundaryError(
    'secret.missing',
    `There is no envelope key in ${directory}; nothing can be sealed or opened. Restore state/keys from a backup.`,
    { at: directory },
  );
}
