import { nodeHash } from '../formats/merkle.ts';
import { HASH_BYTES } from './tile-nodes.ts';

/**
 * The perfect subtrees above the leaves of a growing tree, all kept: what a verifier needs to know the root at every
 * size that was ever signed. Here the leaves are the roots of full level-0 tiles.
 */
export class SubtreeRoots {
  /** Element k: the hashes of height k, side by side. */
  readonly #heights: { bytes: Uint8Array; count: number }[] = [];

  get size(): number {
    return this.#heights[0]?.count ?? 0;
  }

  append(hash: Uint8Array): void {
    let node = hash;
    for (let height = 0; ; height++) {
      const index = this.#put(height, node);
      if (index % 2 === 0) return;
      node = nodeHash(this.#node(height, index - 1), node);
    }
  }

  /** Hashes `[from, from + count)` of a height, side by side. A view. */
  hashes(height: number, from: number, count: number): Uint8Array {
    const nodes = this.#heights[height];
    if (nodes === undefined || from + count > nodes.count)
      throw new RangeError(`no nodes ${from}+${count} at ${height}`);
    return nodes.bytes.subarray(from * HASH_BYTES, (from + count) * HASH_BYTES);
  }

  /** Root of the tree of the first `size` leaves followed by `border`, the hash of what comes after them (or null). */
  rootWith(size: number, border: Uint8Array | null): Uint8Array | null {
    let root = border;
    for (let height = 0, count = size; count > 0; height++, count = Math.floor(count / 2)) {
      if (count % 2 === 0) continue;
      const node = this.#node(height, count - 1);
      root = root === null ? Uint8Array.from(node) : nodeHash(node, root);
    }
    return root;
  }

  #node(height: number, index: number): Uint8Array {
    return this.hashes(height, index, 1);
  }

  #put(height: number, hash: Uint8Array): number {
    const nodes = this.#heights[height] ?? { bytes: new Uint8Array(16 * HASH_BYTES), count: 0 };
    this.#heights[height] = nodes;
    if ((nodes.count + 1) * HASH_BYTES > nodes.bytes.length) {
      const larger = new Uint8Array(nodes.bytes.length * 2);
      larger.set(nodes.bytes);
      nodes.bytes = larger;
    }
    nodes.bytes.set(hash, nodes.count * HASH_BYTES);
    return nodes.count++;
  }
}
