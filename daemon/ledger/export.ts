import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseCheckpoint } from '../formats/checkpoint.ts';
import { parseNote } from '../formats/signed-note.ts';
import { encodeEntryBundle, entriesPath, TILE_WIDTH, tilePath, tilesForSize } from '../formats/tile.ts';
import { formatProof } from '../formats/tlog-proof.ts';
import { makeDir, writeDurable } from '../host/durable-file.ts';
import type { LedgerView } from './read.ts';

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/**
 * Writes the ledger as a C2SP tlog-tiles directory (`checkpoint`, `tile/…`, `tile/entries/…`) that stock tools check.
 * `directory` is made if missing; tiles of an earlier export are overwritten by equal ones. Each file appears whole or
 * not at all, and `checkpoint` last, so that a reader never finds a checkpoint whose tiles are missing.
 *
 * Returns the size. Throws `BoundaryError` `ledger.empty`, or the system's error when the disk refuses.
 */
export function exportTiles(
  ledger: LedgerView,
  directory: string,
  onProgress?: (done: number, total: number) => void,
): number {
  const note = newestCheckpoint(ledger);
  const { size } = parseCheckpoint(parseNote(note).text);
  makeDir(directory, DIRECTORY_MODE);
  for (const { level, n, width } of tilesForSize(size)) {
    const hashes = ledger.tile(level, n, width);
    if (hashes === null) throw new Error(`export: the tree of ${size} has no tile ${level}/${n} of ${width}`);
    writeInside(directory, tilePath(level, n, width), hashes);
  }
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first);
    const entries = ledger.entries(first, width).map((entry) => entry.bytes);
    writeInside(directory, entriesPath(first / TILE_WIDTH, width), encodeEntryBundle(entries));
    onProgress?.(first + width, size);
  }
  writeInside(directory, 'checkpoint', new TextEncoder().encode(note));
  return size;
}

/**
 * The C2SP tlog-proof of one entry under the newest checkpoint, with the entry's bytes in its `extra` line. Throws
 * `BoundaryError` `ledger.no_such_entry` or `ledger.empty`.
 */
export function proveIndex(ledger: LedgerView, index: number): string {
  const checkpoint = newestCheckpoint(ledger);
  const extra = Number.isSafeInteger(index) && index >= 0 && index < ledger.size ? ledger.entry(index) : null;
  if (extra === null) {
    throw new BoundaryError(
      'ledger.no_such_entry',
      `There is no entry ${index}; the ledger ends at ${ledger.size - 1}.`,
    );
  }
  return formatProof({ index, extra, proof: ledger.inclusionProof(index), checkpoint });
}

function newestCheckpoint(ledger: LedgerView): string {
  const note = ledger.checkpoint();
  if (note !== null) return note;
  throw new BoundaryError(
    'ledger.empty',
    'The ledger has no entries yet, so there is nothing to prove or export.',
  );
}

function writeInside(directory: string, path: string, bytes: Uint8Array): void {
  const file = join(directory, path);
  mkdirSync(dirname(file), { recursive: true, mode: DIRECTORY_MODE });
  writeDurable(file, bytes, FILE_MODE);
}
