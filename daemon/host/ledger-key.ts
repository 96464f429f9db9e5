import { existsSync, linkSync, lstatSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { NoteSigner } from '../formats/signed-note.ts';
import { syncDir } from './durable-file.ts';
import type { KeyEncryptionKey } from './key-wrap.ts';
import { destroySecretFile } from './secret-file.ts';
import { createSigningKey, loadSigner } from './signer.ts';

/**
 * The files of the ledger's signing key. `ledger.key` is the key in use; beside it lies, during a rotation only,
 * `ledger.key.next`, the key to come, and then `ledger.key.retired`, the old one on its way out. Which of them is in use is
 * never told by the files: the ledger's newest checkpoint says who signed it.
 */
export class LedgerKeyFiles {
  readonly #path: string;
  readonly #next: string;
  readonly #retired: string;
  readonly #kek: KeyEncryptionKey | null;

  constructor(path: string, kek: KeyEncryptionKey | null) {
    this.#path = path;
    this.#next = `${path}.next`;
    this.#retired = `${path}.retired`;
    this.#kek = kek;
  }

  /** The key in use. Throws BoundaryError `secret.*`. */
  load(): NoteSigner {
    return loadSigner(this.#path, this.#kek);
  }

  /** The key to come, where a rotation has begun; null otherwise. Throws BoundaryError `secret.*`. */
  next(): NoteSigner | null {
    return existsSync(this.#next) ? loadSigner(this.#next, this.#kek) : null;
  }

  /** Makes the key to come, durably. One that is there belongs to a rotation that never was: no checkpoint names it. */
  prepare(origin: string): NoteSigner {
    this.discard();
    createSigningKey(this.#next, origin, this.#kek);
    return loadSigner(this.#next, this.#kek);
  }

  /** Destroys a key to come that was never used. */
  discard(): void {
    if (existsSync(this.#next)) destroySecretFile(this.#next);
  }

  /**
   * The key to come becomes the one in use, the old one is destroyed. `ledger.key` is a whole key at every moment; a call
   * after a crash goes on where that one stopped.
   */
  adopt(): void {
    if (existsSync(this.#next)) {
      // A second name for the old key: it is to be overwritten once it is out of use, not merely forgotten.
      if (!existsSync(this.#retired)) linkSync(this.#path, this.#retired);
      renameSync(this.#next, this.#path);
      syncDir(dirname(this.#path));
    }
    this.tidy();
  }

  /** Destroys what is left of a key that is out of use, or that a crash cut short while it was written. */
  tidy(): void {
    const directory = dirname(this.#path);
    const started = `.${basename(this.#next)}.`;
    for (const name of readdirSync(directory))
      if (name.startsWith(started) && name.endsWith('.tmp')) destroySecretFile(join(directory, name));
    if (!existsSync(this.#retired)) return;
    // Still the key in use: the crash came between the two names.
    if (lstatSync(this.#retired).ino === lstatSync(this.#path).ino) unlinkSync(this.#retired);
    else destroySecretFile(this.#retired);
  }
}
