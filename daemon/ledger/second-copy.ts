import { closeSync, constants, openSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes } from '../formats/digest.ts';
import { currentLog } from '../formats/log-keys.ts';
import { leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { errorCode } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import { readCopyMark } from './copy-mark.ts';
import { viewLedger } from './open.ts';
import type { LedgerReader } from './read.ts';
import { extendTileDirectory } from './tile-directory.ts';
import { HASH_BYTES } from './tile-nodes.ts';
import { readTileHead, type TileHead, TileReader, tileError } from './tile-reader.ts';
import type { LedgerTrust } from './verify-range.ts';

/** How the second copy stands. All but `current` and `behind` say that nothing can be written to it at the moment. */
export type CopyState = 'current' | 'behind' | 'away' | 'full' | 'read_only' | 'refused' | 'failed';

/** What one round of copying came to. */
export interface CopyReport {
  state: CopyState;
  /** Entries in the copy, under its checkpoint; null when that is not known. */
  size: number | null;
  /** Entries in the ledger when it was looked at; null when it could not be. */
  ledger: number | null;
  /** Why it is neither current nor behind. */
  cause: string | null;
}

/** Where the ledger and its copy are. */
export interface CopyJob {
  ledgerPath: string;
  /** The site's trust directory: keys may change while it runs. */
  trustPath: string;
  directory: string;
}

/**
 * Entries of one round. Between rounds the ledger's snapshot is let go of, so that its write-ahead log can be folded in
 * while a copy catches up.
 */
const ROUND_ENTRIES = 16_384;

/**
 * One round: is the medium the one that was made for this log → open the ledger in one snapshot → write what came since,
 * up to a signed checkpoint → read it back and hold it against the ledger. Never throws: what is wrong is in the report.
 */
export function copyRound(job: CopyJob): CopyReport {
  let ledger: number | null = null;
  let handle: number | null = null;
  try {
    const { origin, keys } = currentLog(readLineage(job.trustPath));
    const trust = { origin, vkeys: keys };
    handle = openSync(job.directory, constants.O_RDONLY | constants.O_DIRECTORY);
    // By its handle: what was looked at is what is written to, even if something else is mounted there meanwhile.
    const directory = `/proc/self/fd/${handle}`;
    assertMark(job.directory, directory, origin);
    const view = viewLedger(job.ledgerPath, trust);
    try {
      ledger = view.size;
      const size = extendByRound(view, directory, trust);
      return { state: size === ledger ? 'current' : 'behind', size, ledger, cause: null };
    } finally {
      view.close();
    }
  } catch (error) {
    return { ...failure(error, job.directory), size: null, ledger };
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

function assertMark(named: string, directory: string, origin: string): void {
  const marked = readCopyMark(directory);
  if (marked === null) throw new BoundaryError('copy.away', `no copy was begun in ${named}`);
  if (marked === origin) return;
  throw new BoundaryError('copy.other_log', `the copy in ${named} is of the log ${marked}, not ${origin}`);
}

function extendByRound(view: LedgerReader, directory: string, trust: LedgerTrust): number {
  const from = readTileHead(directory, trust)?.size ?? 0;
  const head = headWithin(view, from + ROUND_ENTRIES, trust);
  const { size } = extendTileDirectory(view, directory, head === null ? { trust } : { trust, head });
  if (size > from) assertWritten(view, TileReader.open(directory, trust), from);
  return size;
}

/** The newest checkpoint of at most `limit` entries; null when the ledger has none that small. */
function headWithin(view: LedgerReader, limit: number, trust: LedgerTrust): TileHead | null {
  const note = view.database
    .prepareColumn<string>(
      "SELECT coalesce(CAST(note AS TEXT), '') FROM checkpoints WHERE size <= ? ORDER BY size DESC LIMIT 1",
    )
    .get(limit);
  if (note === undefined) return null;
  const { origin, size, root } = openCheckpoint(note, trust);
  return { origin, size, root, note };
}

/** Reads back what was written and holds it against the ledger: entries against tiles, tiles against the signed root. */
function assertWritten(view: LedgerReader, copy: TileReader, from: number): void {
  const { size, root } = copy.head;
  if (!equalBytes(copy.root(), root) || !equalBytes(view.root(size), root))
    throw tileError('damaged', copy.directory, `what was written up to entry ${size} cannot be read back`);
  for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < size; n++) {
    const hashes = copy.tile(0, n, Math.min(TILE_WIDTH, size - n * TILE_WIDTH));
    const entries = copy.bundle(n) ?? [];
    const same = (bytes: Uint8Array, at: number): boolean =>
      hashes !== null && equalBytes(leafHash(bytes), hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
    if (entries.length > 0 && entries.every(same)) continue;
    throw tileError('damaged', copy.directory, `entries from ${n * TILE_WIDTH} on cannot be read back`);
  }
}

const AWAY: readonly (string | null)[] = [
  'ENOENT',
  'ENOTDIR',
  'EIO',
  'ENODEV',
  'ENXIO',
  'ESTALE',
  'ENOTCONN',
];
const FULL: readonly (string | null)[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];
const READ_ONLY: readonly (string | null)[] = ['EROFS', 'EACCES', 'EPERM'];

/** What an error says about the medium, the copy on it, or us. */
function failure(error: unknown, directory: string): Pick<CopyReport, 'state' | 'cause'> {
  const words = error instanceof Error ? error.message : String(error);
  if (error instanceof BoundaryError && !error.code.startsWith('file.')) {
    const cause = words.replaceAll(/\/proc\/self\/fd\/\d+/g, directory);
    if (error.code === 'copy.away') return { state: 'away', cause };
    const ours = error.code.startsWith('tiles.') || error.code.startsWith('copy.');
    return { state: ours ? 'refused' : 'failed', cause };
  }
  const code = errorCode(error instanceof BoundaryError ? error.cause : error);
  const state = AWAY.includes(code)
    ? 'away'
    : FULL.includes(code)
      ? 'full'
      : READ_ONLY.includes(code)
        ? 'read_only'
        : 'failed';
  return { state, cause: `${directory}: ${code ?? words}` };
}
