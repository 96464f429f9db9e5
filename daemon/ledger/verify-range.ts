import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes, sha256, toHex } from '../formats/digest.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import { leafHash, nodeHash } from '../formats/merkle.ts';
import { parseVkey, type Vkey } from '../formats/signed-note.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import type { Database, Statement } from './database.ts';
import { type Finding, tampered } from './finding.ts';
import type { StreamMarks } from './stream-marks.ts';
import { HASH_BYTES, TILE_HEIGHT, TileNodes } from './tile-nodes.ts';

/** Who may have signed the checkpoints. */
export interface LedgerTrust {
  origin: string;
  /** C2SP vkeys, current and former. */
  vkeys: readonly string[];
}

/** Entries `[from, to)`; `from` is a multiple of 256, and so is `to` unless it is the end. */
export interface Range {
  from: number;
  to: number;
}

/** A stored checkpoint whose signature is in order, still to be compared with the tree. */
export interface SignedRoot {
  size: number;
  root: Uint8Array;
  /** Hash over the entries after the last full tile below `size`; null when there are none. */
  border: Uint8Array | null;
}

export interface RangeResult {
  /** Root of every full tile of the range, in order. */
  tileRoots: Uint8Array[];
  signed: SignedRoot[];
  /** Hash over the entries after the last full tile; only in the last range. */
  border: Uint8Array | null;
  findings: Finding[];
}

type EntryRow = [idx: number, prevIdx: number | null, bytes: Uint8Array];

/**
 * Verifies one range of entries on its own: order, canonical form, stream links, leaf hashes, level-0 tiles, and the
 * signatures of the checkpoints inside it. Marks every entry's stream position and its predecessor in `marks`.
 */
export class RangeVerifier {
  readonly #trust: { origin: string; vkeys: Vkey[] };
  readonly #marks: StreamMarks;
  readonly #rows: Statement<EntryRow>;
  readonly #bytes: Statement<Uint8Array>;
  readonly #tiles: Statement<[id: number, hashes: Uint8Array]>;
  readonly #notes: Statement<[size: number, note: string]>;
  readonly #site: string;

  constructor(database: Database, trust: LedgerTrust, marks: StreamMarks) {
    this.#trust = { origin: trust.origin, vkeys: trust.vkeys.map((vkey) => parseVkey(vkey)) };
    this.#marks = marks;
    this.#site = trust.origin.replace(/\/ledger(?:\/[0-9]+)?$/, '');
    this.#rows = database.prepareTuple(
      'SELECT idx, prev_idx, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    );
    this.#bytes = database.prepareColumn('SELECT bytes FROM entries WHERE idx = ?');
    this.#tiles = database.prepareTuple('SELECT id, hashes FROM tiles WHERE id >= ? AND id < ? ORDER BY id');
    this.#notes = database.prepareTuple(
      'SELECT size, note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size',
    );
  }

  verify(range: Range): RangeResult {
    const result: RangeResult = { tileRoots: [], signed: [], border: null, findings: [] };
    const notes = this.#notes.all(range.from, range.to);
    const tiles = this.#storedTiles(range);
    const hashes = new Uint8Array((range.to - range.from) * HASH_BYTES);
    let tile = new TileNodes();
    let next = range.from;
    let nextNote = 0;
    for (const [idx, prevIdx, bytes] of this.#rows.iterate(range.from, range.to)) {
      if (idx !== next) break;
      hashes.set(sha256(bytes), (idx - range.from) * HASH_BYTES);
      const defect = this.#entryDefect(idx, prevIdx, bytes, range.from, hashes);
      if (defect !== null) result.findings.push(tampered('entry', `entries[${idx}]`, defect, idx));
      tile.push(leafHash(bytes));
      next++;
      for (; notes[nextNote]?.[0] === next; nextNote++) this.#checkpoint(notes[nextNote], tile, result);
      if (tile.width < TILE_WIDTH) continue;
      this.#tile(next / TILE_WIDTH - 1, tile, tiles, result);
      tile = new TileNodes();
    }
    if (next !== range.to) {
      result.findings.push(tampered('entry', `entries[${next}]`, 'the entry is missing', next));
    }
    result.border = borderOf(tile);
    return result;
  }

  /** What is wrong with an entry; null when it is canonical, of this site, and the next of its stream. */
  #entryDefect(
    idx: number,
    prevIdx: number | null,
    bytes: Uint8Array,
    from: number,
    hashes: Uint8Array,
  ): string | null {
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      return error.message;
    }
    if (entry.site !== this.#site) return `it is of site ${entry.site}, the ledger of ${this.#site}`;
    this.#marks.place(idx, entry.stream, entry.seq);
    if (prevIdx === null)
      return entry.seq === 0 ? null : 'it is not the first of its stream and names no predecessor';
    if (entry.seq === 0 || prevIdx >= idx || prevIdx < 0)
      return `it cannot have entry ${prevIdx} as predecessor`;
    const before = prevIdx < from ? this.#placeEarlier(prevIdx) : toHex(hashAt(hashes, prevIdx - from));
    if (before !== entry.prev) return `its prev is not the hash of entry ${prevIdx}`;
    if (!this.#marks.follows(prevIdx, idx)) return `it is not the next of the stream of entry ${prevIdx}`;
    return this.#marks.claim(prevIdx) ? null : `another entry has entry ${prevIdx} as its predecessor, too`;
  }

  /**
   * Hex hash of an entry of an earlier range, which another thread may not have come to: places it too. Null when it is
   * missing or malformed, which is reported where it belongs.
   */
  #placeEarlier(index: number): string | null {
    const bytes = this.#bytes.get(index);
    if (bytes === undefined) return null;
    try {
      const entry = decodeEntry(bytes);
      this.#marks.place(index, entry.stream, entry.seq);
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
    return toHex(sha256(bytes));
  }

  #storedTiles(range: Range): Map<number, Uint8Array> {
    const from = range.from / TILE_WIDTH;
    return new Map(this.#tiles.all(from, from + Math.floor((range.to - range.from) / TILE_WIDTH)));
  }

  #tile(n: number, tile: TileNodes, stored: Map<number, Uint8Array>, result: RangeResult): void {
    result.tileRoots.push(Uint8Array.from(tile.node(TILE_HEIGHT, 0)));
    const row = stored.get(n);
    if (row === undefined) result.findings.push(tampered('tree', `tile/0/${n}`, 'the tile is missing'));
    else if (!equalBytes(row, tile.hashes(TILE_WIDTH))) {
      result.findings.push(
        tampered('tree', `tile/0/${n}`, 'the tile does not hold the hashes of its entries'),
      );
    }
  }

  #checkpoint(row: [number, string] | undefined, tile: TileNodes, result: RangeResult): void {
    if (row === undefined) return;
    const [size, note] = row;
    const where = `checkpoints[${size}]`;
    try {
      const checkpoint = openCheckpoint(note, this.#trust);
      if (checkpoint.size !== size) {
        result.findings.push(tampered('checkpoint', where, `is of size ${checkpoint.size}`));
        return;
      }
      result.signed.push({
        size,
        root: checkpoint.root,
        border: tile.width === TILE_WIDTH ? null : borderOf(tile),
      });
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      result.findings.push(checkpointFinding(where, error));
    }
  }
}

function hashAt(hashes: Uint8Array, index: number): Uint8Array {
  return hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** A checkpoint that could not be opened: by a key that nobody vouched for, or damaged. */
export function checkpointFinding(where: string, error: BoundaryError): Finding {
  const unknown = error.code === 'note.no_known_signature' || error.code === 'checkpoint.not_signed_by_log';
  const what = where.startsWith('head') ? 'head' : 'checkpoint';
  return { code: unknown ? 13 : 10, what, where, detail: error.message };
}

/** Hash over the hashes of an unfinished tile (RFC 6962 §2.1); null when it is empty. */
export function borderOf(tile: TileNodes): Uint8Array | null {
  let hash: Uint8Array | null = null;
  for (let height = 0, count = tile.width; count > 0; height++, count = Math.floor(count / 2)) {
    if (count % 2 === 0) continue;
    const node = tile.node(height, count - 1);
    hash = hash === null ? Uint8Array.from(node) : nodeHash(node, hash);
  }
  return hash;
}
