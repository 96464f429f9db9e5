import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import { encodeEntryBundle, entriesPath, TILE_WIDTH, tilePath, tilesForSize } from '../formats/tile.ts';
import { makeTree, namesIn } from '../host/directory.ts';
import { replaceFile, syncDir, writeDurable } from '../host/durable-file.ts';
import type { LedgerReader } from './read.ts';
import { CHECKPOINT_FILE, readTileHead, type TileHead, tileError } from './tile-reader.ts';
import type { LedgerTrust } from './verify-range.ts';

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

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
    const first = makeTree(path, DIRECTORY_MODE);
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
