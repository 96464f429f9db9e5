import { type Anchor, formatAnchor } from '../daemon/formats/anchor.ts';
import { formatCheckpoint } from '../daemon/formats/checkpoint.ts';
import { sha256 } from '../daemon/formats/digest.ts';
import { ed25519Signer } from '../daemon/formats/ed25519.ts';
import { consistencyRanges, leafHash, rootOf } from '../daemon/formats/merkle.ts';
import { formatVkey, type NoteSigner, signNote } from '../daemon/formats/signed-note.ts';

/** A log in memory that can also do what no log may: forget, and tell another history. */
export class FakeLog {
  readonly origin: string;
  readonly signer: NoteSigner;
  #leaves: Uint8Array[] = [];

  constructor(origin = 'outpost-7.example/ledger', seed = 1) {
    this.origin = origin;
    const key = ed25519Signer(new Uint8Array(32).fill(seed));
    this.signer = { name: origin, vkey: formatVkey(origin, key.publicKey), sign: key.sign };
  }

  get size(): number {
    return this.#leaves.length;
  }

  /** Appends until there are `size` entries, each made of its index and `what`. */
  grow(size: number, what = 'entry'): this {
    for (let index = this.size; index < size; index += 1)
      this.#leaves.push(leafHash(Buffer.from(`${what} ${index}`)));
    return this;
  }

  /** The same log as it was at `size`, to go on differently. */
  copy(size = this.size): FakeLog {
    const log = new FakeLog(this.origin, 1);
    log.#leaves = this.#leaves.slice(0, size);
    return log;
  }

  root(size = this.size): Uint8Array {
    return size === 0 ? sha256(new Uint8Array()) : rootOf(this.#leaves.slice(0, size));
  }

  checkpoint(size = this.size, signer = this.signer): string {
    return signNote(formatCheckpoint({ origin: this.origin, size, root: this.root(size) }), [signer]);
  }

  anchor(old: number, size = this.size): Anchor {
    const proof = consistencyRanges(old, size).map(({ start, end }) =>
      rootOf(this.#leaves.slice(start, end)),
    );
    return { old, proof, checkpoint: this.checkpoint(size) };
  }

  anchorText(old: number, size = this.size): string {
    return formatAnchor(this.anchor(old, size));
  }
}
