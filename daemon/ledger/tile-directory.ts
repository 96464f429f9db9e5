import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type OpenedCheckpoint, openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import {
  decodeEntryBundle,
  encodeEntryBundle,
  entriesPath,
  TILE_WIDTH,
  tilePath,
  tilesForSize,
} from '../formats/tile.ts';
import { errorCode, readBounded, replaceFile, syncDir, writeDurable } from '../host/durable-file.ts';
import type { LedgerReader } from './read.ts';
import { HASH_BYTES } from './tile-nodes.ts';
import { MerkleTree } from './tree.ts';
import type { LedgerTrust } from './verify-range.ts';

/*
 * A C2SP tlog-tiles directory: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`. The checkpoint is what
 * says how far it goes: it is written last, and what lies beyond it is nothing yet.
 */

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
export const CHECKPOINT_FILE = 'checkpoint';
const CHECKPOINT_MAX_BYTES = 64 * 1024;
/** A bundle of 256 entries, each as large as they come. */
const BUNDLE_MAX_BYTES = TILE_WIDTH * (2 + 65_535);

/** How far a directory goes. */
export interface TileHead {
  origin: string;
  size: number;
  root: Uint8Array;
  /** The signed note. */
  note: string;
}

/**
 * The checkpoint of a tile directory; null when there is none. Throws `BoundaryError` `tiles.other_log` (of another log
 * than `trust` names), `tiles.key` (signed by nobody that is trusted), `tiles.damaged` or `tiles.unreadable`.
 */
export function readTileHead(directory: string, trust: LedgerTrust): TileHead | null {
  const path = join(directory, CHECKPOINT_FILE);
  const bytes = readFileIfThere(path, CHECKPOINT_MAX_BYTES);
  if (bytes === null) return null;
  const note = Buffer.from(bytes).toString('utf8');
  const named = note.slice(0, note.indexOf('\n'));
  if (named !== trust.origin) {
    throw tileError(
      'other_log',
      directory,
      `it holds the log ${JSON.stringify(named.slice(0, 200))}, not ${trust.origin}`,
    );
  }
  const { origin, size, root } = openedBy(note, trust, directory);
  return { origin, size, root, note };
}

function openedBy(note: string, trust: LedgerTrust, directory: string): OpenedCheckpoint {
  try {
    return openCheckpoint(note, trust);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    const unknown = cause.code === 'note.no_known_signature' || cause.code === 'checkpoint.not_signed_by_log';
    throw tileError(unknown ? 'key' : 'damaged', directory, cause.message, cause);
  }
}

/**
 * Brings a tile directory (made where it is missing) up to `head`, by default the newest checkpoint of the ledger. What it
 * holds already must be the beginning of this ledger: then only what came since is written. Each file appears whole or
 * not at all, and `checkpoint` last, after everything under it is on the disk; tiles that a wider one replaced are removed
 * after that. An attempt that was cut off is simply made again.
 *
 * Returns the sizes before and after. Throws the errors of `readTileHead`, `tiles.ahead` (the directory knows entries
 * that the ledger lost), `tiles.other_history`, `ledger.empty`, or the system's error when the disk refuses.
 */
export function extendTileDirectory(
  ledger: LedgerReader,
  directory: string,
  options: {
    trust: LedgerTrust;
    head?: TileHead;
    onProgress?: ((done: number, total: number) => void) | undefined;
  },
): { from: number; size: number } {
  const head = options.head ?? newestHead(ledger, options.trust);
  const before = readTileHead(directory, options.trust);
  if (before !== null) assertPrefix(ledger, before, directory);
  const from = before?.size ?? 0;
  const { size } = head;
  if (before !== null && from >= size) return { from, size: from };
  const writer = new TileWriter(directory);
  for (const { level, n, width } of tilesForSize(size)) {
    if (isKnown(from, level, n, width)) continue;
    writer.write(tilePath(level, n, width), tileOf(ledger, level, n, width));
  }
  for (let first = from - (from % TILE_WIDTH); first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first);
    writer.write(entriesPath(first / TILE_WIDTH, width), bundleOf(ledger, first, width));
    options.onProgress?.(first + width, size);
  }
  writer.sync();
  // The point of no return: from here on the directory goes up to `size`.
  writeDurable(join(directory, CHECKPOINT_FILE), new TextEncoder().encode(head.note), FILE_MODE);
  dropPartials(directory, from, size);
  return { from, size };
}

/** The head that a ledger, opened for reading, stands at. Throws `BoundaryError` `ledger.empty`. */
export function newestHead(ledger: Pick<LedgerReader, 'checkpoint'>, trust: LedgerTrust): TileHead {
  const note = ledger.checkpoint();
  if (note === null) {
    throw new BoundaryError(
      'ledger.empty',
      'The ledger has no entries yet, so there is nothing to prove or export.',
    );
  }
  const { origin, size, root } = openCheckpoint(note, trust);
  return { origin, size, root, note };
}

/** What a directory holds must be where this ledger began. */
function assertPrefix(ledger: LedgerReader, before: TileHead, directory: string): void {
  if (before.size > ledger.size) {
    throw tileError(
      'ahead',
      directory,
      `it knows ${before.size} entries of ${before.origin}, and the ledger ends at ${ledger.size}: the ledger was rolled back, or an older one put in its place`,
    );
  }
  if (toHex(ledger.root(before.size)) === toHex(before.root)) return;
  throw tileError(
    'other_history',
    directory,
    `its first ${before.size} entries are not those of the ledger: one of the two was changed`,
  );
}

/** Whether a directory of `size` entries has this tile already. */
function isKnown(size: number, level: number, n: number, width: number): boolean {
  return n * TILE_WIDTH + width <= Math.floor(size / TILE_WIDTH ** level);
}

function tileOf(ledger: LedgerReader, level: number, n: number, width: number): Uint8Array {
  const hashes = ledger.tile(level, n, width);
  if (hashes === null) throw new Error(`tiles: the tree has no tile ${level}/${n} of ${width}`);
  return hashes;
}

function bundleOf(ledger: LedgerReader, first: number, width: number): Uint8Array {
  const entries = ledger.entries(first, width);
  const [start] = entries;
  if (entries.length !== width || start?.index !== first) {
    throw new BoundaryError(
      'ledger.entry_missing',
      `Entries ${first} to ${first + width - 1} cannot all be read from the ledger; they were not copied. Run ledger verify.`,
    );
  }
  return encodeEntryBundle(entries.map(({ bytes }) => bytes));
}

/** Files whose names become durable together. */
class TileWriter {
  readonly #directory: string;
  readonly #unsynced = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
    this.#make(directory);
  }

  write(path: string, bytes: Uint8Array): void {
    const file = join(this.#directory, path);
    this.#make(dirname(file));
    replaceFile(file, bytes, FILE_MODE);
    this.#unsynced.add(dirname(file));
  }

  sync(): void {
    for (const path of this.#unsynced) syncDir(path);
    this.#unsynced.clear();
  }

  #make(path: string): void {
    const first = mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made))
      this.#unsynced.add(dirname(made));
  }
}

/** Removes the partial tiles that growing from `from` to `size` made needless. What is left over does no harm. */
function dropPartials(directory: string, from: number, size: number): void {
  for (const { level, n } of tilesForSize(from)) {
    for (const path of [tilePath(level, n, 1), level === 0 ? entriesPath(n, 1) : null]) {
      if (path === null) continue;
      const hashes = Math.floor(size / TILE_WIDTH ** level);
      const width = Math.min(TILE_WIDTH, hashes - n * TILE_WIDTH);
      const partials = join(directory, dirname(path));
      if (width === TILE_WIDTH) rmSync(partials, { recursive: true, force: true });
      else for (const name of namesIn(partials)) if (name !== String(width)) rmSync(join(partials, name));
    }
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Reads a tile directory's files as far as its checkpoint goes. Nothing of them is verified here but the checkpoint. */
export class TileReader {
  readonly directory: string;
  readonly head: TileHead;
  #tree: MerkleTree | null = null;

  constructor(directory: string, head: TileHead) {
    this.directory = directory;
    this.head = head;
  }

  /** Throws `BoundaryError` `tiles.none` where there is no checkpoint, and the errors of `readTileHead`. */
  static open(directory: string, trust: LedgerTrust): TileReader {
    const head = readTileHead(directory, trust);
    if (head !== null) return new TileReader(directory, head);
    throw tileError('none', directory, 'it has no checkpoint');
  }

  /** Hashes of a tile as the directory has them; null when the file is missing or too short. */
  tile(level: number, n: number, width: number): Uint8Array | null {
    const bytes = this.#read((w) => tilePath(level, n, w), width, TILE_WIDTH * HASH_BYTES);
    return bytes !== null && bytes.length >= width * HASH_BYTES
      ? bytes.subarray(0, width * HASH_BYTES)
      : null;
  }

  /** Entries of bundle `n`; null when the file is missing. Throws `BoundaryError` `tile.bundle` when it is malformed. */
  bundle(n: number): Uint8Array[] | null {
    const width = Math.min(TILE_WIDTH, this.head.size - n * TILE_WIDTH);
    const bytes = this.#read((w) => entriesPath(n, w), width, BUNDLE_MAX_BYTES);
    if (bytes === null) return null;
    const entries = decodeEntryBundle(bytes);
    if (entries.length >= width) return entries.slice(0, width);
    throw new BoundaryError('tile.bundle', `The bundle has ${entries.length} entries, not ${width}.`);
  }

  /**
   * A tile of that width, or a wider one that begins with it: a directory may grow while it is read, and what a wider tile
   * replaced goes away.
   */
  #read(pathOf: (width: number) => string, width: number, max: number): Uint8Array | null {
    for (let attempt = 0; attempt < 3; attempt++) {
      const exact = readFileIfThere(join(this.directory, pathOf(width)), max);
      if (exact !== null || width === TILE_WIDTH) return exact;
      const partials = namesIn(join(this.directory, dirname(pathOf(width)))).map(Number);
      const wider = partials.find((name) => name > width && name < TILE_WIDTH) ?? TILE_WIDTH;
      const found = readFileIfThere(join(this.directory, pathOf(wider)), max);
      if (found !== null) return found;
    }
    return null;
  }

  /** RFC 6962 root of the first `size` entries, by the tiles. Throws `BoundaryError` `tiles.damaged`. */
  root(size = this.head.size): Uint8Array {
    return this.#loaded().root(size);
  }

  /** RFC 6962 §2.1.2, by the tiles. */
  consistencyProof(from: number, to = this.head.size): Uint8Array[] {
    return this.#loaded().consistencyProof(from, to);
  }

  inclusionProof(index: number, size = this.head.size): Uint8Array[] {
    return this.#loaded().inclusionProof(index, size);
  }

  #loaded(): MerkleTree {
    if (this.#tree !== null) return this.#tree;
    const { size } = this.head;
    const width = size % TILE_WIDTH;
    const last = width === 0 ? new Uint8Array() : this.#needed(0, Math.floor(size / TILE_WIDTH), width);
    const leaves = Array.from({ length: width }, (_, at) =>
      last.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
    );
    const store = { read: (level: number, n: number) => this.#needed(level, n, TILE_WIDTH), write: refuse };
    this.#tree = MerkleTree.load(store, size, leaves);
    return this.#tree;
  }

  #needed(level: number, n: number, width: number): Uint8Array {
    const hashes = this.tile(level, n, width);
    if (hashes !== null) return hashes;
    throw tileError('damaged', this.directory, `${tilePath(level, n, width)} is missing or damaged`);
  }
}

function refuse(): never {
  throw new Error('tiles: a directory is read here, not written');
}

function readFileIfThere(path: string, max: number): Uint8Array | null {
  try {
    return readBounded(path, max);
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'file.missing') return null;
    throw error;
  }
}

/** Why a tile directory was not used. */
export function tileError(code: string, directory: string, words: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    `tiles.${code}`,
    `The tile directory ${directory} was not used or changed: ${words}. Run ledger verify --tiles, or name another directory.`,
    { at: directory, ...(cause === undefined ? {} : { cause }) },
  );
}
