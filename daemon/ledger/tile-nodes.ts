import { sha256Into } from '../formats/digest.ts';
import { TILE_WIDTH } from '../formats/tile.ts';

export const HASH_BYTES = 32;
/** Levels of hashes inside one tile: heights 0 (as stored) to 8 (the tile's root). */
export const TILE_HEIGHT = 8;

/** Where the hashes of height k begin: 256 of height 0, then 128 of height 1, … one of height 8. */
const FIRST_OF_HEIGHT = Array.from({ length: TILE_HEIGHT + 1 }, (_, k) => 2 * TILE_WIDTH - 2 ** (9 - k));

/** An inner node as it is hashed (RFC 9162 §2.1.1): 0x01, then its two children. */
const scratch = Buffer.alloc(1 + 2 * HASH_BYTES);
scratch[0] = 1;

/**
 * One tile with the inner nodes above its hashes, filled from the left. A parent is computed when its right child
 * arrives, so that a proof never hashes a complete subtree again.
 */
export class TileNodes {
  readonly #nodes = Buffer.allocUnsafeSlow((2 * TILE_WIDTH - 1) * HASH_BYTES);
  #width = 0;

  /** How many hashes of height 0 it holds. */
  get width(): number {
    return this.#width;
  }

  static from(hashes: Uint8Array): TileNodes {
    const tile = new TileNodes();
    for (let at = 0; at < hashes.length; at += HASH_BYTES) tile.push(hashes.subarray(at, at + HASH_BYTES));
    return tile;
  }

  push(hash: Uint8Array): void {
    let index = this.#width++;
    this.#nodes.set(hash, placeOf(0, index));
    for (let height = 0; index % 2 === 1; height++) {
      // Sisters lie side by side.
      const pair = placeOf(height, index - 1);
      this.#nodes.copy(scratch, 1, pair, pair + 2 * HASH_BYTES);
      index = (index - 1) / 2;
      sha256Into(scratch, this.#nodes, placeOf(height + 1, index));
    }
  }

  /** The root of the complete subtree `index` of `height` inside this tile. A view: copy before keeping. */
  node(height: number, index: number): Uint8Array {
    const at = placeOf(height, index);
    return this.#nodes.subarray(at, at + HASH_BYTES);
  }

  /** The first `width` hashes of height 0, as a C2SP tile. A view. */
  hashes(width: number): Uint8Array {
    return this.#nodes.subarray(0, width * HASH_BYTES);
  }

  /** Forgets all but the first `width` hashes; what is above them becomes unreachable and is overwritten. */
  truncate(width: number): void {
    this.#width = width;
  }
}

/** Where a hash begins in the bytes of a tile. */
function placeOf(height: number, index: number): number {
  return ((FIRST_OF_HEIGHT[height] ?? 0) + index) * HASH_BYTES;
}
