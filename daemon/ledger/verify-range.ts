import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner, openCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes, sha256Hex } from '../formats/digest.ts';
import { decodeEntry, ENTRY_TYPES, type Entry, encodeEntry } from '../formats/entry.ts';
import { type LogLineage, type LogVkey, parseLogVkey } from '../formats/log-keys.ts';
import { nodeHash } from '../formats/merkle.ts';
import type { Vkey } from '../formats/signed-note.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { type Database, isCorruption, type Statement } from './database.ts';
import { scanEntry } from './entry-scan.ts';
import { type Finding, tampered } from './finding.ts';
import type { StreamPlaces } from './stream-marks.ts';
import { TextRing } from './text-ring.ts';
import { HASH_BYTES, TILE_HEIGHT, TileNodes } from './tile-nodes.ts';
import type { EntryRows } from './verify-archive.ts';

/** Who may have signed the checkpoints. */
export interface LedgerTrust {
  origin: string;
  /** C2SP vkeys, current and former, of this log and of those that it goes on for, each with its sizes where it has any. */
  vkeys: readonly LogVkey[];
  /** The site's logs as its trust file has them: where one was closed, and with which tree. */
  logs?: readonly LogLineage[];
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
  /** Entries whose hash is not the one in their tile. */
  changed: number[];
  findings: Finding[];
}

/**
 * Verifies one range of entries on its own: order, canonical form, stream links, leaf hashes, level-0 tiles, and the
 * signatures of the checkpoints inside it. Marks every entry's stream position and its predecessor in `marks`.
 */
export class RangeVerifier {
  /** The keys' names say which logs' checkpoints count. */
  readonly #trust: { vkeys: Vkey[] };
  readonly #marks: StreamPlaces;
  readonly #entries: EntryRows;
  readonly #tiles: Statement<[id: number, hashes: Uint8Array]>;
  readonly #notes: Statement<[size: number, note: string]>;
  readonly #site: string;
  readonly #types = new Set(Object.keys(ENTRY_TYPES));
  readonly #leaf = Buffer.alloc(HASH_BYTES);
  readonly #ring = new TextRing();

  constructor(database: Database, trust: LedgerTrust, marks: StreamPlaces, entries: EntryRows) {
    this.#trust = { vkeys: trust.vkeys.map(parseLogVkey) };
    this.#marks = marks;
    this.#site = trust.origin.replace(/\/ledger(?:\/[0-9]+)?$/, '');
    this.#entries = entries;
    this.#tiles = database.prepareTuple(
      "SELECT id, coalesce(CAST(hashes AS BLOB), x'') FROM tiles WHERE id >= ? AND id < ? ORDER BY id",
    );
    this.#notes = database.prepareTuple(
      `SELECT size, coalesce(CAST(note AS TEXT), '') FROM checkpoints
       WHERE size > ? AND size <= ? ORDER BY size`,
    );
  }

  verify(range: Range): RangeResult {
    const result: RangeResult = { tileRoots: [], signed: [], border: null, changed: [], findings: [] };
    try {
      this.#verify(range, result);
    } catch (error) {
      if (!isCorruption(error)) throw error;
      result.findings.push(
        tampered('file', `entries[${range.from}…${range.to - 1}]`, (error as Error).message),
      );
    }
    return result;
  }

  #verify(range: Range, result: RangeResult): void {
    const notes = this.#notes.all(range.from, range.to);
    const tiles = this.#storedTiles(range);
    let tile = new TileNodes();
    let next = range.from;
    let nextNote = 0;
    for (const [idx, prevIdx, text] of this.#entries.range(range.from, range.to)) {
      if (idx !== next) break;
      const inRing = text !== null && this.#ring.put(idx, text);
      const defect = text === null ? null : this.#entryDefect(idx, prevIdx, inRing, range.from);
      if (defect !== null) result.findings.push(tampered('entry', `entries[${idx}]`, defect, idx));
      const leaf = text === null ? storedLeaf(tiles, idx) : this.#leafHash(text, inRing);
      if (leaf === null) break;
      tile.push(leaf);
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
  }

  /** RFC 6962 leaf hash of an entry's text. A view that the next call overwrites. */
  #leafHash(text: string, inRing: boolean): Uint8Array {
    if (inRing) this.#ring.leafHash(this.#leaf);
    else this.#leaf.write(sha256Hex(`\0${text}`), 'hex');
    return this.#leaf;
  }

  /** What is wrong with an entry; null when it is canonical, of this site, and the next of its stream. */
  #entryDefect(idx: number, prevIdx: number | null, inRing: boolean, from: number): string | null {
    const { bytes, start, end } = this.#ring;
    const shown = inRing ? scanEntry(bytes, start, end, this.#types) : null;
    const entry = shown ?? this.#decode(idx);
    if (typeof entry === 'string') return entry;
    if (entry.site !== this.#site) return `it is of site ${entry.site}, the ledger of ${this.#site}`;
    this.#marks.place(idx, entry.stream, entry.seq);
    if (shown !== null && shown.grant !== null) this.#marks.grant(idx, shown.grant);
    if (prevIdx === null)
      return entry.seq === 0 ? null : 'it is not the first of its stream and names no predecessor';
    if (entry.seq === 0 || prevIdx >= idx || prevIdx < 0)
      return `it cannot have entry ${prevIdx} as predecessor`;
    const before = prevIdx < from ? this.#placeEarlier(prevIdx) : this.#hashOf(prevIdx);
    // What it follows lies elsewhere, known by the hash of its leaf only, which is another one.
    if (before === DARK) return null;
    if (before !== entry.prev) return `its prev is not the hash of entry ${prevIdx}`;
    if (!this.#marks.follows(prevIdx, idx)) return `it is not the next of the stream of entry ${prevIdx}`;
    return this.#marks.claim(prevIdx) ? null : `another entry has entry ${prevIdx} as its predecessor, too`;
  }

  /**
   * Hex hash of an earlier entry of this range, made when a later one of its stream asks for it: of most streams of a busy
   * site none ever does.
   */
  #hashOf(index: number): string {
    const known = this.#ring.hash(index);
    if (known !== null) return known;
    const link = this.#entries.link(index);
    return link === null ? DARK : sha256Hex(link[1] ?? '');
  }

  /** Decides about an entry for good; a string is what is wrong with it. */
  #decode(index: number): Entry | string {
    try {
      const entry = decodeEntry(this.#entries.bytes(index));
      return entry;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      return error.message;
    }
  }

  /**
   * Hex hash of an entry of an earlier range, which another thread may not have come to: places it too. Null when it is
   * missing or malformed, which is reported where it belongs.
   */
  #placeEarlier(index: number): string | null {
    if (this.#entries.isDark(index)) return DARK;
    const entry = this.#decode(index);
    if (typeof entry === 'string') return null;
    this.#marks.place(index, entry.stream, entry.seq);
    return sha256Hex(encodeEntry(entry));
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
      result.changed.push(...otherLeaves(n, row, tile));
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
      result.findings.push(checkpointFinding('checkpoint', where, error));
    }
  }
}

/** Stands for the hash of an entry whose text is not here. */
const DARK = '';

/** Entries of a tile whose hash is another than the stored one. */
function otherLeaves(n: number, stored: Uint8Array, tile: TileNodes): number[] {
  const hashes = tile.hashes(TILE_WIDTH);
  const at = (place: number) => [place * HASH_BYTES, (place + 1) * HASH_BYTES] as const;
  const places = Array.from({ length: TILE_WIDTH }, (_, place) => place);
  return places
    .filter((place) => !equalBytes(stored.subarray(...at(place)), hashes.subarray(...at(place))))
    .map((place) => n * TILE_WIDTH + place);
}

/** The hash that a level-0 tile has for an entry; null without the tile. */
function storedLeaf(tiles: ReadonlyMap<number, Uint8Array>, index: number): Uint8Array | null {
  const at = (index % TILE_WIDTH) * HASH_BYTES;
  const hash = tiles.get(Math.floor(index / TILE_WIDTH))?.subarray(at, at + HASH_BYTES);
  return hash?.length === HASH_BYTES ? hash : null;
}

/** A checkpoint that could not be opened: by a key that nobody vouched for, or damaged. */
export function checkpointFinding(what: 'checkpoint' | 'head', where: string, error: BoundaryError): Finding {
  return { code: isUnknownSigner(error) ? 13 : 10, what, where, detail: error.message };
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

/** SQLite's own look at its pages: a lost cell shows here even where no other row names it. */
export function pageDefects(database: Database): Finding[] {
  const messages = database.prepareColumn<string>('PRAGMA quick_check(10)').all();
  return messages.filter((message) => message !== 'ok').map((message) => tampered('file', 'pages', message));
}
