import { closeSync, existsSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode, syncDir } from '../host/durable-file.ts';
import { isThere, openingFailure } from './database-place.ts';

/** What may be bound to a statement. Numbers that are whole are stored as integers (up to 2^53). */
export type SqlValue = null | number | string | Uint8Array;

/** A prepared statement. Blobs come back as `Buffer` (a `Uint8Array`). */
export interface Statement<Row = unknown> {
  run(...values: SqlValue[]): { changes: number };
  get(...values: SqlValue[]): Row | undefined;
  all(...values: SqlValue[]): Row[];
  iterate(...values: SqlValue[]): IterableIterator<Row>;
}

/**
 * The narrow view of SQLite that the rest of the program gets. Synchronous; one connection, one thread.
 * Statements that fail throw SQLite's own error: see `isStorageError`.
 */
export interface Database {
  readonly path: string;
  readonly inTransaction: boolean;
  /** Rows as objects. */
  prepare<Row = unknown>(sql: string): Statement<Row>;
  /** Only the first column of each row, as a bare value. */
  prepareColumn<Value>(sql: string): Statement<Value>;
  /** Rows as arrays, for scans over many rows. */
  prepareTuple<Row extends unknown[]>(sql: string): Statement<Row>;
  exec(sql: string): void;
  /** First column of the first row of a PRAGMA. */
  pragma(text: string): unknown;
  /** Takes the write lock. */
  begin(): void;
  /** Pins one snapshot for reading. */
  beginRead(): void;
  /** Returns after the WAL is synced. */
  commit(): void;
  /** No-op when SQLite itself has rolled back already. */
  rollback(): void;
  close(): void;
}

/** A kind of database file: SQLite's `application_id`, and the format version in `user_version`. */
export interface DatabaseKind {
  name: string;
  applicationId: number;
  version: number;
}

export interface OpenOptions {
  kind: DatabaseKind;
  /** Makes the file, which must not exist. Without it the file must exist: state is never made implicitly. */
  create?: boolean;
  readonly?: boolean;
  /** WAL pages after which a commit itself moves them into the main file. */
  walPages?: number;
  /** What the connection keeps of pages that it read; less for one that reads each page once. */
  cacheKib?: number;
}

/** 64 MiB at 4 KiB pages: a busy site's idle moments come before that. Measured: at 16 MiB the move was what p99 showed. */
const WAL_PAGES = 16_384;
const CACHE_KIB = 8_192;
const BUSY_MS = 5_000;

/**
 * Opens a database file with the settings that the ledger's promises rest on. Throws `BoundaryError`
 * `database.missing`, `database.forbidden`, `database.readonly_disk`, `database.exists`, `database.unreadable`,
 * `database.kind` or `database.newer`.
 */
export function openDatabase(path: string, options: OpenOptions): Database {
  if (options.create === true) createFile(path);
  else if (!isThere(path, options.kind.name)) {
    throw new BoundaryError(
      'database.missing',
      `${options.kind.name} ${path} is missing; nothing was created in its place. Restore it, or make a new site with init.`,
      { at: path },
    );
  }
  const readonly = options.readonly === true;
  let connection: BetterSqlite3.Database | undefined;
  try {
    connection = new BetterSqlite3(path, { readonly, fileMustExist: true, timeout: BUSY_MS });
    if (options.create === true) stampKind(connection, options.kind);
    checkKind(connection, path, options.kind);
    configure(connection, readonly, options);
    return new Connection(connection, path);
  } catch (error) {
    connection?.close();
    if (!(error instanceof BetterSqlite3.SqliteError)) throw error;
    throw openingFailure(path, { name: options.kind.name, readonly }, error);
  }
}

/**
 * Whether an error says that storage failed (disk full, I/O, lock, read-only, corrupt pages) rather than that a
 * statement was wrong. The transaction must be rolled back; the same call may succeed once storage is well again.
 */
export function isStorageError(error: unknown): boolean {
  return (
    error instanceof BetterSqlite3.SqliteError &&
    /^SQLITE_(FULL|IOERR|READONLY|BUSY|LOCKED|CANTOPEN|NOMEM|PROTOCOL|CORRUPT|NOTADB)/.test(error.code)
  );
}

/** Whether another connection holds what was wanted. */
export function isLocked(error: unknown): boolean {
  return error instanceof BetterSqlite3.SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(error.code);
}

/** Whether SQLite itself found the file's pages malformed, or a value in them beyond all bounds. */
export function isCorruption(error: unknown): boolean {
  return error instanceof BetterSqlite3.SqliteError && /^SQLITE_(CORRUPT|NOTADB|TOOBIG)/.test(error.code);
}

/**
 * Takes an exclusive lock on a file (made when missing) that lasts until `release` or the end of the process. SQLite's
 * locks are the only ones that Node reaches without native code of our own. Throws SQLite's error when it is held.
 */
export function lockFile(path: string): { release(): void } {
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
  const connection = new BetterSqlite3(path, { timeout: 0 });
  try {
    connection.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    connection.close();
    throw error;
  }
  return { release: () => connection.close() };
}

function createFile(path: string): void {
  let file: number;
  try {
    // SQLite gives -wal and -shm the mode of the main file.
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new BoundaryError('database.exists', `${path} exists already and was not touched.`, {
      at: path,
      cause: error,
    });
  }
  closeSync(file);
  syncDir(dirname(path));
}

function stampKind(connection: BetterSqlite3.Database, kind: DatabaseKind): void {
  connection.pragma('page_size = 4096');
  connection.pragma('journal_mode = WAL');
  connection.pragma(`application_id = ${kind.applicationId}`);
  connection.pragma(`user_version = ${kind.version}`);
}

function checkKind(connection: BetterSqlite3.Database, path: string, kind: DatabaseKind): void {
  const applicationId = connection.pragma('application_id', { simple: true });
  const version = connection.pragma('user_version', { simple: true });
  if (applicationId !== kind.applicationId) {
    const words = `${path} is not a ${kind.name} (application id ${applicationId}); it was left as it is`;
    throw new BoundaryError('database.kind', `${words}. Put the right file back, or restore a backup.`, {
      at: path,
    });
  }
  if (version !== kind.version) {
    const words = `${path} has format version ${version}, this program knows ${kind.version}`;
    throw new BoundaryError('database.newer', `${words}; it was not opened. Use the program that wrote it.`, {
      at: path,
    });
  }
}

function configure(
  connection: BetterSqlite3.Database,
  readonly: boolean,
  { walPages = WAL_PAGES, cacheKib = CACHE_KIB }: OpenOptions,
): void {
  connection.pragma('synchronous = FULL');
  connection.pragma(`cache_size = -${cacheKib}`);
  connection.pragma('mmap_size = 0');
  connection.pragma('temp_store = MEMORY');
  connection.pragma('trusted_schema = OFF');
  connection.pragma('cell_size_check = ON');
  connection.pragma('foreign_keys = ON');
  // Without this, the deletes that INSERT OR REPLACE makes fire no DELETE trigger.
  connection.pragma('recursive_triggers = ON');
  if (readonly) {
    connection.pragma('query_only = ON');
    return;
  }
  // What was shredded must not stay in freed parts of pages.
  connection.pragma('secure_delete = ON');
  // A spilled page would be an uncommitted WAL frame that a later reader could take for a torn commit.
  connection.pragma('cache_spill = OFF');
  connection.pragma(`wal_autocheckpoint = ${walPages}`);
  connection.pragma(`journal_size_limit = ${walPages * 4096}`);
}

class Connection implements Database {
  readonly path: string;
  readonly #connection: BetterSqlite3.Database;
  readonly #begin: BetterSqlite3.Statement<unknown[]>;
  readonly #beginRead: BetterSqlite3.Statement<unknown[]>;
  readonly #commit: BetterSqlite3.Statement<unknown[]>;

  constructor(connection: BetterSqlite3.Database, path: string) {
    this.path = path;
    this.#connection = connection;
    this.#begin = connection.prepare('BEGIN IMMEDIATE');
    this.#beginRead = connection.prepare('BEGIN');
    this.#commit = connection.prepare('COMMIT');
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  prepare<Row>(sql: string): Statement<Row> {
    return this.#connection.prepare<SqlValue[], Row>(sql);
  }

  prepareColumn<Value>(sql: string): Statement<Value> {
    return this.#connection.prepare<SqlValue[], Value>(sql).pluck();
  }

  prepareTuple<Row extends unknown[]>(sql: string): Statement<Row> {
    return this.#connection.prepare<SqlValue[], Row>(sql).raw();
  }

  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  pragma(text: string): unknown {
    return this.#connection.pragma(text, { simple: true });
  }

  begin(): void {
    this.#begin.run();
  }

  beginRead(): void {
    this.#beginRead.run();
  }

  commit(): void {
    this.#commit.run();
  }

  rollback(): void {
    if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
  }

  close(): void {
    this.#connection.close();
  }
}
