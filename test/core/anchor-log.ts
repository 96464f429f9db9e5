import type { SignedAnchor } from '../../daemon/core/anchor-pile.ts';
import { formatAnchor, parseAnchor } from '../../daemon/formats/anchor.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { publicKeyOf, signEd25519 } from '../../daemon/formats/ed25519.ts';
import { consistencyRanges, leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';

export const ORIGIN = 'outpost-7.example/ledger';

/** A log that its owner may change as he likes: what a site is to whoever keeps its anchors. */
export class MutableLog {
  readonly #seed: Uint8Array<ArrayBuffer>;
  entries: string[];

  constructor(entries: string[] = [], seed = new Uint8Array(32).fill(5)) {
    this.entries = entries;
    this.#seed = seed;
  }

  static of(size: number): MutableLog {
    return new MutableLog(Array.from({ length: size }, (_, n) => `entry ${n}`));
  }

  get vkey(): string {
    return formatVkey(ORIGIN, publicKeyOf(this.#seed));
  }

  get size(): number {
    return this.entries.length;
  }

  /** The same log, which can now go another way. */
  fork(): MutableLog {
    return new MutableLog([...this.entries], this.#seed);
  }

  grow(count: number, tag = 'entry'): this {
    for (let n = 0; n < count; n++) this.entries.push(`${tag} ${this.entries.length}`);
    return this;
  }

  rootAt(size: number): Uint8Array {
    return rootOf(this.#hashes().slice(0, size));
  }

  proofBetween(old: number, size: number): Uint8Array[] {
    const hashes = this.#hashes().slice(0, size);
    return consistencyRanges(old, size).map(({ start, end }) => rootOf(hashes.slice(start, end)));
  }

  anchor(old: number, size = this.size): string {
    const checkpoint = signNote(formatCheckpoint({ origin: ORIGIN, size, root: this.rootAt(size) }), [
      { name: ORIGIN, vkey: this.vkey, sign: (text) => signEd25519(this.#seed, text) },
    ]);
    return formatAnchor({ old, proof: this.proofBetween(old, size), checkpoint });
  }

  /** Anchors of these sizes, each continuing the one before. */
  chain(sizes: readonly number[], name = 'a'): SignedAnchor[] {
    return sizes.map((size, index) => ({
      from: `${name}/${size}`,
      anchor: parseAnchor(this.anchor(sizes[index - 1] ?? 0, size)),
    }));
  }

  #hashes(): Uint8Array[] {
    return this.entries.map((entry) => leafHash(Buffer.from(entry)));
  }
}
