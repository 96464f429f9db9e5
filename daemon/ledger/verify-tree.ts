import { equalBytes } from '../formats/digest.ts';
import { EMPTY_ROOT, leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import type { Database } from './database.ts';
import { type Finding, type Findings, tampered } from './finding.ts';
import { TILE_LEVEL_STEP } from './schema.ts';
import { SubtreeRoots } from './subtree-roots.ts';
import { HASH_BYTES, TILE_HEIGHT, TileNodes } from './tile-nodes.ts';
import type { Parting } from './verify-blame.ts';
import { borderOf, type Range, type RangeResult } from './verify-range.ts';

/** One wrong entry puts all later roots in the wrong: they must not crowd out what else was found. */
const ROOTS_NAMED = 50;

/** Puts the ranges together again: roots at the signed sizes, and the tiles above level 0. */
export class TreeVerifier {
  readonly #subtrees = new SubtreeRoots();
  readonly #findings: Findings;
  readonly #changed: number[] = [];
  #lastRight = 0;
  #firstWrong: number | null = null;
  #whole = true;
  #wrong = 0;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** Takes the next range. After one with missing entries the tree cannot be rebuilt, and is not judged further. */
  accept(result: RangeResult, range: Range): void {
    this.#findings.addAll(result.findings);
    this.#changed.push(...result.changed);
    for (const root of result.tileRoots) this.#subtrees.append(root);
    this.#whole &&= this.#subtrees.size === Math.floor(range.to / TILE_WIDTH);
    if (!this.#whole) return;
    for (const { size, root, border } of result.signed) {
      const computed = this.#subtrees.rootWith(Math.floor(size / TILE_WIDTH), border);
      if (computed !== null && equalBytes(computed, root)) {
        if (this.#firstWrong === null) this.#lastRight = size;
        continue;
      }
      this.#firstWrong ??= size;
      this.#wrong += 1;
      const detail = `the first ${size} entries do not have the root that was signed`;
      if (this.#wrong > ROOTS_NAMED) this.#findings.addUnnamed(10);
      else this.#findings.add(tampered('checkpoint', `checkpoints[${size}]`, detail));
    }
  }

  /** Where entries and signed roots part. */
  parting(): Parting {
    return { changed: this.#changed, lastRight: this.#lastRight, firstWrong: this.#firstWrong };
  }

  /** Root of the first `size` entries; null when entries are missing. */
  root(database: Database, size: number): Uint8Array | null {
    if (size === 0) return EMPTY_ROOT;
    const full = Math.floor(size / TILE_WIDTH);
    const rest = this.#leavesOf(database, full, size % TILE_WIDTH);
    if (!this.#whole || rest.length !== size % TILE_WIDTH) return null;
    const tile = new TileNodes();
    for (const leaf of rest) tile.push(leaf);
    return this.#subtrees.rootWith(full, borderOf(tile));
  }

  /** The first leaves of a tile: from the tile, which was compared with its entries, or from entries that fill none yet. */
  #leavesOf(database: Database, n: number, count: number): Uint8Array[] {
    const tile = database
      .prepareColumn<Uint8Array>("SELECT coalesce(CAST(hashes AS BLOB), x'') FROM tiles WHERE id = ?")
      .get(n);
    if (tile?.length === TILE_WIDTH * HASH_BYTES)
      return Array.from({ length: count }, (_, at) => tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
    return database
      .prepareColumn<Uint8Array>(
        "SELECT coalesce(CAST(bytes AS BLOB), x'') FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
      )
      .all(n * TILE_WIDTH, n * TILE_WIDTH + count)
      .map(leafHash);
  }

  /** Tiles of level 1 and above hold the roots of those below; and there is no tile too many. */
  upperTiles(database: Database): Finding[] {
    if (!this.#whole) return [];
    const findings: Finding[] = [];
    const read = database.prepareColumn<Uint8Array>(
      "SELECT coalesce(CAST(hashes AS BLOB), x'') FROM tiles WHERE id = ?",
    );
    let expected = this.#subtrees.size;
    for (let level = 1, width = expected; width >= TILE_WIDTH; level++) {
      width = Math.floor(width / TILE_WIDTH);
      expected += width;
      for (let n = 0; n < width; n++) {
        const hashes = this.#subtrees.hashes((level - 1) * TILE_HEIGHT, n * TILE_WIDTH, TILE_WIDTH);
        const row = read.get(level * TILE_LEVEL_STEP + n);
        if (row !== undefined && equalBytes(row, hashes)) continue;
        const detail =
          row === undefined ? 'the tile is missing' : 'the tile does not hold the roots below it';
        findings.push(tampered('tree', `tile/${level}/${n}`, detail));
      }
    }
    const count = database.prepareColumn<number>('SELECT count(*) FROM tiles').get();
    if (count !== expected)
      findings.push(tampered('tree', 'tiles', `there are ${count} tiles, not ${expected}`));
    return findings;
  }
}
