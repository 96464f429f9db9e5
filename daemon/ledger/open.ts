import { existsSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner, type OpenedCheckpoint, openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import type { LogVkey } from '../formats/log-keys.ts';
import { leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { LedgerWriter } from './append.ts';
import { type Database, isStorageError, openDatabase } from './database.ts';
import { openHeadStore, type StoredHead } from './head-store.ts';
import type { NoteSigner } from './ledger.ts';
import { databaseTiles, LedgerReader } from './read.ts';
import { createLedgerSchema, LEDGER_KIND, schemaDefects } from './schema.ts';
import { MerkleTree } from './tree.ts';
import { truncation } from './verify-files.ts';
import { inspectWal, type WalReport } from './wal.ts';

export interface LedgerFiles {
  /** The ledger database. */
  path: string;
  /** The head store, on another storage tier where there is one. */
  headPath: string;
  /** Log name, `<site>/ledger`. */
  origin: string;
  signer: NoteSigner;
}

/** Whose checkpoints count. */
interface ViewTrust {
  origin: string;
  vkeys: readonly LogVkey[];
}

/**
 * Makes a ledger without entries and its head store. Neither file may exist. Throws the errors of `openDatabase`.
 * A ledger is of use only after its first committed batch; until then `openLedger` refuses it.
 */
export function createLedger(files: LedgerFiles): LedgerWriter {
  assertSigner(files);
  const database = openDatabase(files.path, { kind: LEDGER_KIND, create: true });
  createLedgerSchema(database);
  const heads = openHeadStore(files.headPath, { create: true });
  heads.enroll(files.origin);
  heads.close();
  const tree = new MerkleTree(databaseTiles(database));
  return new LedgerWriter({ ...files, database, tree, note: null, recovered: null });
}

/**
 * Opens a ledger for writing, only if it is what the last writer left: the log beside it lost nothing that was
 * committed, the newest checkpoint is ours and covers exactly the entries, and the head store's checkpoint is part of
 * its history.
 *
 * Throws `BoundaryError`: the errors of `openDatabase`, `ledger.damaged`, `ledger.schema`, `ledger.empty`,
 * `ledger.unsealed`, `ledger.key`, `ledger.tampered`, `ledger.rolled_back`, `ledger.forked`, `head.missing`. Then nothing was
 * changed (but for what SQLite's own recovery drops), and the way on is `ledger verify` and a backup.
 */
export function openLedger(files: LedgerFiles): LedgerWriter {
  assertSigner(files);
  const head = readHead(files);
  // Before SQLite opens it: its recovery silently drops everything from the first bad frame on.
  const wal = inspectWal(files.path);
  if (wal.state === 'damaged') throw refuse('damaged', files.path, wal.detail);
  // SQLite reads zeros behind a cut inside the last page, which may be one that nothing below looks at.
  const cut = existsSync(files.path) ? truncation(files.path, wal) : null;
  if (cut !== null) throw refuse('damaged', files.path, cut);
  // Read-only first: closing a writable connection would fold the log into the file and with it destroy evidence.
  assertHistory(files, head, wal);
  const database = openDatabase(files.path, { kind: LEDGER_KIND });
  try {
    dropLeftovers(database);
    const tree = loadTree(database, files.path);
    const note = newestCheckpoint(database, trustOf(files), tree);
    const recovered = wal.state === 'torn' ? { droppedFrames: wal.droppedFrames, detail: wal.detail } : null;
    return new LedgerWriter({ ...files, database, tree, note, recovered });
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens a ledger for reading, also while its daemon runs: one snapshot, in which the newest checkpoint is signed by a key
 * of `trust` and covers exactly the entries. Older entries are not looked at; that is `verifyLedger`. `archive` is where
 * archive files lie, if not beside the ledger. Throws the errors of `openDatabase`, `ledger.schema`, `ledger.empty`, `ledger.unsealed`, `ledger.key`, `ledger.tampered`.
 */
export function viewLedger(path: string, trust: ViewTrust, archive?: string): LedgerReader {
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  try {
    database.beginRead();
    const defects = schemaDefects(database);
    if (defects.length > 0) throw refuse('schema', path, defects.join('; '));
    const tree = loadTree(database, path);
    const note = newestCheckpoint(database, { path, ...trust }, tree);
    const reader = { origin: trust.origin, database, tree, note };
    return new LedgerReader(archive === undefined ? reader : { ...reader, archive });
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Leftovers of a crash should not lie behind the next commits, where a verifier would have to call them a torn tail. On a
 * full disk they stay for now: denials must be recordable on the space that is left.
 */
function dropLeftovers(database: Database): void {
  try {
    database.pragma('wal_checkpoint(TRUNCATE)');
  } catch (error) {
    if (!isStorageError(error)) throw error;
  }
}

function assertSigner(files: LedgerFiles): void {
  if (files.signer.name === files.origin) return;
  throw new BoundaryError(
    'ledger.key',
    `The signing key is named ${files.signer.name}, the ledger ${files.origin}; nothing was opened. Use the ledger's own key.`,
  );
}

function readHead(files: LedgerFiles): StoredHead {
  const heads = openHeadStore(files.headPath);
  const head = heads.read(files.origin);
  heads.close();
  if (head !== null) return head;
  throw new BoundaryError(
    'head.missing',
    `The head store ${files.headPath} does not know ${files.origin}; the ledger was not opened, because a rollback could not be noticed.`,
    { at: files.headPath },
  );
}

function loadTree(database: Database, path: string): MerkleTree {
  const last = database.prepareColumn<number | null>('SELECT max(idx) FROM entries').get() ?? null;
  if (last === null) throw refuse('empty', path, 'it has no entry: its initialization did not finish');
  const size = last + 1;
  const rows = database
    .prepareColumn<Uint8Array>(
      "SELECT coalesce(CAST(bytes AS BLOB), x'') FROM entries WHERE idx >= ? ORDER BY idx",
    )
    .all(size - (size % TILE_WIDTH));
  if (rows.length !== size % TILE_WIDTH)
    throw refuse('tampered', path, 'entries of the last tile are missing');
  return MerkleTree.load(databaseTiles(database), size, rows.map(leafHash));
}

function newestCheckpoint(database: Database, trust: ViewTrust & { path: string }, tree: MerkleTree): string {
  const row = database
    .prepare<{ size: number; note: string }>(
      "SELECT size, coalesce(CAST(note AS TEXT), '') AS note FROM checkpoints ORDER BY size DESC LIMIT 1",
    )
    .get();
  if (row === undefined || row.size !== tree.size) {
    const words = `its ${tree.size} entries are not all under a checkpoint (newest: ${row?.size ?? 'none'})`;
    throw refuse('unsealed', trust.path, words);
  }
  const checkpoint = openOwn(row.note, trust);
  if (checkpoint.size !== tree.size || toHex(checkpoint.root) !== toHex(tree.root())) {
    const words = `its entries do not have the root of their checkpoint at ${tree.size}`;
    throw refuse('tampered', trust.path, words);
  }
  return row.note;
}

function openOwn(note: string, trust: ViewTrust & { path: string }): OpenedCheckpoint {
  try {
    return openCheckpoint(note, trust);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const foreign = isUnknownSigner(error);
    const words = foreign
      ? `its newest checkpoint is not signed by this site's key (${error.message})`
      : error.message;
    throw refuse(foreign ? 'key' : 'tampered', trust.path, words, error);
  }
}

/** The stored head must be part of what the file now says. */
function assertHistory(files: LedgerFiles, head: StoredHead, wal: WalReport): void {
  const view = viewLedger(files.path, trustOf(files));
  try {
    if (view.size < head.size) {
      const loss = wal.state === 'torn' ? `; ${wal.detail}` : '';
      const words = `it ends at ${view.size} entries, a stored checkpoint has ${head.size}${loss}`;
      throw refuse('rolled_back', files.path, words);
    }
    if (toHex(view.root(head.size)) !== head.root) {
      const words = `its first ${head.size} entries are not those of the stored checkpoint`;
      throw refuse('forked', files.path, words);
    }
  } finally {
    view.close();
  }
}

function trustOf(files: LedgerFiles): ViewTrust & { path: string } {
  return { path: files.path, origin: files.origin, vkeys: [files.signer.vkey] };
}

function refuse(code: string, path: string, words: string, cause?: BoundaryError): BoundaryError {
  return new BoundaryError(
    `ledger.${code}`,
    `The ledger ${path} was not opened: ${words}. Run ledger verify, then restore a backup or begin a new log.`,
    { at: path, ...(cause === undefined ? {} : { cause }) },
  );
}
