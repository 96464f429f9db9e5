import { EMPTY_ROOT, nodeHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { TILE_HEIGHT, TileNodes } from './tile-nodes.ts';

/** Where full tiles are kept. A tile that was put is complete and never changes. */
export interface TileStore {
  /** The 8,192 bytes of a full tile. Throws when the store does not hold it. */
  read(level: number, n: number): Uint8Array;
  write(level: number, n: number, hashes: Uint8Array): void;
}

interface Mark {
  size: number;
  edge: { tile: TileNodes; width: number }[];
}

/** 2 MiB of full tiles with their inner nodes, for proofs of older entries. */
const CACHED_TILES = 128;

/**
 * The RFC 6962 tree over the entries. In memory: the right edge (one unfinished tile per level) and a cache; everything
 * else is full tiles in the store. Appending costs one node hash per leaf on average.
 */
export class MerkleTree {
  readonly #store: TileStore;
  readonly #cache = new Map<string, TileNodes>();
  #edge: TileNodes[] = [new TileNodes()];
  #size = 0;
  #mark: Mark | null = null;
  /** Tiles completed since the mark, to be dropped from the cache by `rollback`. */
  #completed: string[] = [];
  #borders: { size: number; hashes: (Uint8Array | null)[] } | null = null;

  constructor(store: TileStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * A tree of `size` leaves whose full tiles are in the store; `lastLeaves` are the hashes of the leaves after the
   * last full tile. Reads at most 255 tiles a level.
   */
  static load(store: TileStore, size: number, lastLeaves: Uint8Array[]): MerkleTree {
    const tree = new MerkleTree(store);
    const edge: TileNodes[] = [];
    for (
      let level = 0, width = size;
      level === 0 || width > 0;
      level++, width = Math.floor(width / TILE_WIDTH)
    ) {
      const tile = new TileNodes();
      for (let index = width - (width % TILE_WIDTH); level > 0 && index < width; index++) {
        tile.push(TileNodes.from(store.read(level - 1, index)).node(TILE_HEIGHT, 0));
      }
      edge.push(tile);
    }
    for (const leaf of lastLeaves) edge[0]?.push(leaf);
    tree.#edge = edge;
    tree.#size = size;
    return tree;
  }

  /** Adds a leaf hash; a tile that it completes goes to the store at once. */
  append(leaf: Uint8Array): void {
    const last = this.#size++;
    this.#borders = null;
    this.#push(0, leaf, Math.floor(last / TILE_WIDTH));
  }

  #push(level: number, hash: Uint8Array, n: number): void {
    const tile = this.#edge[level] ?? new TileNodes();
    this.#edge[level] = tile;
    tile.push(hash);
    if (tile.width < TILE_WIDTH) return;
    this.#store.write(level, n, tile.hashes(TILE_WIDTH));
    this.#completed.push(this.#remember(level, n, tile));
    this.#edge[level] = new TileNodes();
    this.#push(level + 1, tile.node(TILE_HEIGHT, 0), Math.floor(n / TILE_WIDTH));
  }

  /** Remembers this state for `rollback`. */
  mark(): void {
    this.#mark = { size: this.#size, edge: this.#edge.map((tile) => ({ tile, width: tile.width })) };
    this.#completed = [];
  }

  /** Back to the mark. The caller rolls the store back. */
  rollback(): void {
    if (this.#mark === null) return;
    for (const key of this.#completed) this.#cache.delete(key);
    this.#edge = this.#mark.edge.map(({ tile, width }) => {
      tile.truncate(width);
      return tile;
    });
    this.#size = this.#mark.size;
    this.#completed = [];
    this.#borders = null;
  }

  /** MTH of the first `size` leaves (RFC 6962 §2.1). */
  root(size = this.#size): Uint8Array {
    if (size === 0) return EMPTY_ROOT;
    return Uint8Array.from(this.#bordersOf(size).at(-1) ?? EMPTY_ROOT);
  }

  /** RFC 6962 §2.1.1 audit path of leaf `index` in the tree of `size`, leaf sibling first. */
  inclusionProof(index: number, size = this.#size): Uint8Array[] {
    this.#assertSize(size);
    if (index < 0 || index >= size) throw new RangeError(`entry ${index} is not in a tree of ${size}`);
    const proof: Uint8Array[] = [];
    let last = size - 1;
    for (let height = 0, at = index; last > 0; height++, at = half(at), last = half(last)) {
      const sibling = at % 2 === 0 ? at + 1 : at - 1;
      if (sibling <= last) proof.push(this.#subtree(height, sibling, size));
    }
    return proof;
  }

  /** RFC 6962 §2.1.2 consistency proof between the trees of `from` and `to` leaves; empty when one of them is trivial. */
  consistencyProof(from: number, to = this.#size): Uint8Array[] {
    this.#assertSize(to);
    if (from < 0 || from > to) throw new RangeError(`a tree of ${from} is not a part of a tree of ${to}`);
    if (from === 0 || from === to) return [];
    let height = 0;
    let at = from - 1;
    let last = to - 1;
    for (; at % 2 === 1; height++, at = half(at), last = half(last));
    // The old tree is itself a complete subtree: the verifier has its hash already.
    const proof = at === 0 ? [] : [this.#subtree(height, at, to)];
    for (; last > 0; height++, at = half(at), last = half(last)) {
      if (at % 2 === 1) proof.push(this.#subtree(height, at - 1, to));
      else if (at < last) proof.push(this.#subtree(height, at + 1, to));
    }
    return proof;
  }

  /** The first `width` hashes of a tile, or null when the tree does not hold that many. */
  tile(level: number, n: number, width: number): Uint8Array | null {
    const atLevel = Math.floor(this.#size / TILE_WIDTH ** level);
    const first = n * TILE_WIDTH;
    if (width < 1 || width > TILE_WIDTH || first + width > atLevel) return null;
    const tile = first + TILE_WIDTH > atLevel ? this.#edgeTile(level) : this.#fullTile(level, n);
    return Uint8Array.from(tile.hashes(width));
  }

  /** Hash over the leaves `[index << height, (index + 1) << height)`, cut at `size`. */
  #subtree(height: number, index: number, size: number): Uint8Array {
    const complete = (index + 1) * 2 ** height <= size;
    const hash = complete ? this.#node(height, index) : this.#bordersOf(size)[height];
    if (hash === undefined || hash === null) throw new Error(`tree of ${size}: no node ${height}/${index}`);
    return Uint8Array.from(hash);
  }

  #node(height: number, index: number): Uint8Array {
    const level = Math.floor(height / TILE_HEIGHT);
    const inTile = height % TILE_HEIGHT;
    const perTile = TILE_WIDTH / 2 ** inTile;
    const n = Math.floor(index / perTile);
    const full = (n + 1) * TILE_WIDTH <= Math.floor(this.#size / TILE_WIDTH ** level);
    const tile = full ? this.#fullTile(level, n) : this.#edgeTile(level);
    return tile.node(inTile, index % perTile);
  }

  #edgeTile(level: number): TileNodes {
    const tile = this.#edge[level];
    if (tile === undefined) throw new Error(`tree of ${this.#size} has no level ${level}`);
    return tile;
  }

  #fullTile(level: number, n: number): TileNodes {
    const key = `${level}/${n}`;
    const known = this.#cache.get(key);
    if (known === undefined) {
      const tile = TileNodes.from(this.#store.read(level, n));
      this.#remember(level, n, tile);
      return tile;
    }
    this.#cache.delete(key);
    this.#cache.set(key, known);
    return known;
  }

  #remember(level: number, n: number, tile: TileNodes): string {
    const key = `${level}/${n}`;
    this.#cache.set(key, tile);
    const oldest = this.#cache.size > CACHED_TILES ? this.#cache.keys().next() : undefined;
    if (oldest?.done === false) this.#cache.delete(oldest.value);
    return key;
  }

  /**
   * Element `height` is the hash over the leaves after the last complete subtree of that height (null: none); the last
   * element is the root. Kept for the newest size asked for, because all proofs of a batch share it.
   */
  #bordersOf(size: number): (Uint8Array | null)[] {
    if (this.#borders?.size === size) return this.#borders.hashes;
    const hashes: (Uint8Array | null)[] = [null];
    let border: Uint8Array | null = null;
    for (let height = 0, count = size; count > 0; height++, count = half(count)) {
      if (count % 2 === 1) {
        const node = this.#node(height, count - 1);
        border = border === null ? Uint8Array.from(node) : nodeHash(node, border);
      }
      hashes.push(border);
    }
    this.#borders = { size, hashes };
    return hashes;
  }

  #assertSize(size: number): void {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.#size) {
      throw new RangeError(`the tree has ${this.#size} leaves, not ${size}`);
    }
  }
}

function half(n: number): number {
  return Math.floor(n / 2);
}
