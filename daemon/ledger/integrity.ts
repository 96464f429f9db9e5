import { BoundaryError } from '../formats/boundary-error.ts';
import { equalBytes } from '../formats/digest.ts';
import { leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { type Database, isCorruption, openDatabase } from './database.ts';
import { type Finding, tampered } from './finding.ts';
import { databaseTiles } from './read.ts';
import { LEDGER_KIND, schemaDefects } from './schema.ts';
import { RETENTION_STREAM } from './segments.ts';
import type { StreamPlaces } from './stream-marks.ts';
import { HASH_BYTES, TILE_HEIGHT, TileNodes } from './tile-nodes.ts';
import { MerkleTree } from './tree.ts';
import { EntryRows, verifySegments } from './verify-archive.ts';
import { borderOf, type LedgerTrust, type Range, type RangeResult, RangeVerifier } from './verify-range.ts';

/** It goes over the ledger once a pass; a large cache would lie about between two. */
const CACHE_KIB = 2_048;

/** Entries looked at in one snapshot: short enough that the daemon's log of writes is never held up. */
export const CHUNK = 4 * TILE_WIDTH;

/** What one look found, and how far it came. */
export interface ChunkReport {
  /** The first entry that was not looked at. */
  next: number;
  /** Entries of the ledger at that moment. */
  size: number;
  findings: Finding[];
}

/**
 * Verifies a ledger that is being written, a piece at a time: as `verifyLedger` does, but for what needs all entries at once
 * (that streams end where the projection says, that no entry is followed twice from afar, SQLite's own look at its pages).
 * The tree is the one that the tiles of the moment make; every piece is held against it, and all checkpoints with it.
 */
export class IntegrityChecker {
  readonly #path: string;
  readonly #archive: string;
  readonly #trust: () => LedgerTrust;
  #database: Database;
  #tree: MerkleTree | null = null;
  #rows: { entries: EntryRows; retention: number | null } | null = null;

  /** Throws the errors of `openDatabase`. */
  constructor(path: string, archive: string, trust: () => LedgerTrust) {
    this.#path = path;
    this.#archive = archive;
    this.#trust = trust;
    this.#database = this.#open();
  }

  /** What is not about single entries: the schema with its triggers, archived segments and their files. */
  frame(): Finding[] {
    this.#tree = null;
    return this.#inSnapshot(() => [
      ...schemaDefects(this.#database).map((defect) => tampered('schema', 'sqlite_schema', defect)),
      ...verifySegments(this.#database, this.#archive).findings,
    ]);
  }

  /** Looks at the entries from `from` (a multiple of 256) on. Null when there is nothing behind it. */
  chunk(from: number): ChunkReport | null {
    return this.#inSnapshot(() => {
      const size = sizeOf(this.#database);
      if (from >= size) return null;
      const range = { from, to: Math.min(from + CHUNK, size) };
      return { next: range.to, size, findings: this.#findings(range, size) };
    });
  }

  #findings(range: Range, size: number): Finding[] {
    const result = this.#verifier().verify(range);
    // Where entries are missing, the tree says no more than that.
    const whole = result.tileRoots.length === Math.floor((range.to - range.from) / TILE_WIDTH);
    return whole ? [...result.findings, ...this.#treeFindings(result, range, size)] : result.findings;
  }

  #treeFindings(result: RangeResult, range: Range, size: number): Finding[] {
    const where = `entries[${range.from}…${range.to - 1}]`;
    try {
      return treeFindings(result, range, this.#treeOf(range.to, size));
    } catch (error) {
      if (error instanceof BoundaryError) return [tampered('tree', where, error.message, range.from)];
      if (isCorruption(error)) return [tampered('file', where, (error as Error).message, range.from)];
      throw error;
    }
  }

  /** Forgets what was read so far: for a second look. */
  reopen(): void {
    this.#database.close();
    this.#database = this.#open();
    this.#tree = null;
    this.#rows = null;
  }

  close(): void {
    this.#database.close();
  }

  #open(): Database {
    return openDatabase(this.#path, { kind: LEDGER_KIND, readonly: true, cacheKib: CACHE_KIB });
  }

  #inSnapshot<Result>(look: () => Result): Result {
    this.#database.beginRead();
    try {
      return look();
    } finally {
      this.#database.rollback();
    }
  }

  /** One that covers the range; made anew only when the ledger has outgrown it. */
  #treeOf(least: number, size: number): MerkleTree {
    if (this.#tree !== null && this.#tree.size >= least) return this.#tree;
    const last = this.#database
      .prepareColumn<Uint8Array>(
        "SELECT coalesce(CAST(bytes AS BLOB), x'') FROM entries WHERE idx >= ? ORDER BY idx",
      )
      .all(size - (size % TILE_WIDTH));
    this.#tree = MerkleTree.load(databaseTiles(this.#database), size, last.map(leafHash));
    return this.#tree;
  }

  #verifier(): RangeVerifier {
    const head = this.#database.prepareColumn<number>('SELECT last_idx FROM streams WHERE stream = ?');
    const retention = head.get(RETENTION_STREAM) ?? null;
    if (this.#rows === null || this.#rows.retention !== retention)
      this.#rows = { entries: new EntryRows(this.#database, this.#archive), retention };
    return new RangeVerifier(this.#database, this.#trust(), new ChunkMarks(), this.#rows.entries);
  }
}

function sizeOf(database: Database): number {
  return (database.prepareColumn<number | null>('SELECT max(idx) FROM entries').get() ?? -1) + 1;
}

/** The tiles above those of the range hold their roots, and the checkpoints in it sign the tree's own roots. */
function treeFindings(result: RangeResult, { from, to }: Range, tree: MerkleTree): Finding[] {
  const findings: Finding[] = [];
  if (!endsAs(tree, to, result.border)) {
    const detail = 'the entries after the last full tile are not those of the tree';
    findings.push(
      tampered('tree', `entries[${to - (to % TILE_WIDTH)}…${to - 1}]`, detail, to - (to % TILE_WIDTH)),
    );
  }
  for (const [at, root] of result.tileRoots.entries()) {
    const defect = upperDefect(tree, from / TILE_WIDTH + at, root);
    if (defect !== null) findings.push(tampered('tree', defect, 'the tile does not hold the roots below it'));
  }
  for (const { size, root } of result.signed) {
    if (equalBytes(tree.root(size), root)) continue;
    const detail = `the first ${size} entries do not have the root that was signed`;
    findings.push(tampered('checkpoint', `checkpoints[${size}]`, detail, size - 1));
  }
  return findings;
}

/** Whether what comes after the last full tile has the hash that the tree has for it. */
function endsAs(tree: MerkleTree, to: number, border: Uint8Array | null): boolean {
  const width = to % TILE_WIDTH;
  const tile = width === 0 ? null : tree.tile(0, Math.floor(to / TILE_WIDTH), width);
  const expected = tile === null ? null : borderOf(TileNodes.from(tile));
  return expected === null || border === null ? expected === border : equalBytes(expected, border);
}

/** Follows a full tile's root upwards for as long as it completes the tile above; the name of the one that is wrong. */
function upperDefect(tree: MerkleTree, n: number, root: Uint8Array): string | null {
  let below = root;
  for (let level = 1, index = n; ; level++) {
    const at = index % TILE_WIDTH;
    const tile = tree.tile(level, Math.floor(index / TILE_WIDTH), at + 1);
    const hash = tile?.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
    index = Math.floor(index / TILE_WIDTH);
    if (hash === undefined || !equalBytes(hash, below)) return `tile/${level}/${index}`;
    if (tile === null || at !== TILE_WIDTH - 1) return null;
    below = Uint8Array.from(TileNodes.from(tile).node(TILE_HEIGHT, 0));
  }
}

/** The places of one chunk's entries and of those that they follow. */
class ChunkMarks implements StreamPlaces {
  readonly #places = new Map<number, { stream: string; seq: number }>();
  readonly #claimed = new Set<number>();

  place(index: number, stream: string, seq: number): void {
    this.#places.set(index, { stream, seq });
  }

  /** Tables are not looked at here. */
  grant(): void {}

  follows(before: number, after: number): boolean {
    const [first, second] = [this.#places.get(before), this.#places.get(after)];
    return first !== undefined && first.stream === second?.stream && first.seq + 1 === second.seq;
  }

  claim(index: number): boolean {
    if (this.#claimed.has(index)) return false;
    this.#claimed.add(index);
    return true;
  }
}
