import { existsSync, rmSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type Database, type DatabaseKind, openDatabase, type Statement } from './database.ts';

/*
 * An index over the ledger in a file of its own: terms → positions. It is an accelerator and nothing else: it can be
 * deleted at any time, is never trusted, and only proposes which entries to read. What terms mean is the caller's matter.
 */

/** `HLDX`. */
const SEARCH_KIND: DatabaseKind = { name: 'search index', applicationId: 0x484c4458, version: 1 };
/** Entries that share a row about when they were recorded. */
const SPAN = 1_024;
/** A small log: the file is no evidence, and there may be little room. */
const WAL_PAGES = 1_000;

/** One entry to be filed. */
export interface IndexedDocument {
  index: number;
  /** Milliseconds since 1970. */
  at: number;
  /** Each of `[a-z0-9]+`. */
  terms: readonly string[];
}

/** Which ledger an index belongs to, and how far it has come: the digests tell another history from this one. */
export interface IndexMark {
  origin: string;
  /** Entries that are filed. */
  size: number;
  /** Hex SHA-256 of the first and of the last of them; empty while there is none. */
  first: string;
  last: string;
}

export interface SearchIndex {
  readonly mark: IndexMark;
  /** Files the next entries, all or none, and moves the mark. */
  file(documents: readonly IndexedDocument[], mark: IndexMark): void;
  /** Positions that have all of the terms, in `[from, until)`, in that order, at most `limit`. */
  find(terms: readonly string[], range: IndexRange): number[];
  /** The smallest range of positions outside of which nothing was recorded between two instants. */
  between(since: number, until: number): { from: number; until: number };
  close(): void;
}

export interface IndexRange {
  from: number;
  until: number;
  newestFirst: boolean;
  limit: number;
}

/**
 * Opens the index of a ledger, or makes an empty one in place of one that is missing, foreign, damaged or of another
 * history. `belongs` says whether a mark fits the ledger. Throws SQLite's error when storage fails.
 */
export function openSearchIndex(
  path: string,
  origin: string,
  belongs: (mark: IndexMark) => boolean,
): SearchIndex {
  const existing = tryOpen(path);
  if (existing !== null) {
    const mark = readMark(existing);
    if (mark !== null && mark.origin === origin && belongs(mark)) return new FtsIndex(existing, mark);
    existing.close();
  }
  deleteSearchIndex(path);
  return new FtsIndex(createIndex(path, origin), { origin, size: 0, first: '', last: '' });
}

/** Removes the file of an index. Nothing is lost: it is made anew from the ledger. */
export function deleteSearchIndex(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

function tryOpen(path: string): Database | null {
  if (!existsSync(path)) return null;
  try {
    return relaxed(openDatabase(path, { kind: SEARCH_KIND, walPages: WAL_PAGES }));
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function createIndex(path: string, origin: string): Database {
  const database = relaxed(openDatabase(path, { kind: SEARCH_KIND, create: true, walPages: WAL_PAGES }));
  database.begin();
  // No content, no positions inside of it: only which entry has which term.
  database.exec(
    "CREATE VIRTUAL TABLE filed USING fts5(terms, content='', detail=none, columnsize=0, tokenize='ascii')",
  );
  database.exec(
    'CREATE TABLE spans (span INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL) STRICT',
  );
  database.exec(
    'CREATE TABLE mark (origin TEXT NOT NULL, size INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL) STRICT',
  );
  database.prepare('INSERT INTO mark (origin, size, first, last) VALUES (?, 0, ?, ?)').run(origin, '', '');
  database.commit();
  return database;
}

/** A crash may cost the newest of it, never its consistency; the ledger fills it up again. */
function relaxed(database: Database): Database {
  database.pragma('synchronous = NORMAL');
  return database;
}

function readMark(database: Database): IndexMark | null {
  try {
    return database.prepare<IndexMark>('SELECT origin, size, first, last FROM mark').get() ?? null;
  } catch {
    // Whatever it is, it is no index of ours: a new one takes its place.
    return null;
  }
}

class FtsIndex implements SearchIndex {
  readonly #database: Database;
  readonly #sql: ReturnType<typeof prepareIndex>;
  #mark: IndexMark;

  constructor(database: Database, mark: IndexMark) {
    this.#database = database;
    this.#sql = prepareIndex(database);
    this.#mark = mark;
  }

  get mark(): IndexMark {
    return this.#mark;
  }

  file(documents: readonly IndexedDocument[], mark: IndexMark): void {
    try {
      this.#database.begin();
      // Somebody else may follow the ledger too: an entry that is filed twice would be found twice.
      if (this.#sql.size.get() !== this.#mark.size)
        throw new Error('search index: another process files too');
      for (const { index, at, terms } of documents) {
        this.#sql.insert.run(index, terms.join(' '));
        this.#sql.span.run(Math.floor(index / SPAN), at, at);
      }
      this.#sql.mark.run(mark.size, mark.first, mark.last);
      this.#database.commit();
    } catch (error) {
      this.#database.rollback();
      throw error;
    }
    this.#mark = mark;
  }

  find(terms: readonly string[], { from, until, newestFirst, limit }: IndexRange): number[] {
    // Terms are [a-z0-9] by contract; the quotes make sure that none of them can be an operator.
    const match = terms.map((term) => `"${term}"`).join(' ');
    const statement: Statement<number> = newestFirst ? this.#sql.newest : this.#sql.oldest;
    return statement.all(match, from, until, limit);
  }

  between(since: number, until: number): { from: number; until: number } {
    const first = this.#sql.since.get(since) ?? null;
    const last = this.#sql.until.get(until) ?? null;
    if (first === null || last === null) return { from: 0, until: 0 };
    return { from: first * SPAN, until: (last + 1) * SPAN };
  }

  close(): void {
    this.#database.close();
  }
}

function prepareIndex(database: Database) {
  const find = (order: string) =>
    database.prepareColumn<number>(
      `SELECT rowid FROM filed WHERE filed MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid ${order} LIMIT ?`,
    );
  return {
    insert: database.prepare('INSERT INTO filed (rowid, terms) VALUES (?, ?)'),
    span: database.prepare(
      `INSERT INTO spans (span, first_at, last_at) VALUES (?, ?, ?)
ON CONFLICT (span) DO UPDATE SET first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)`,
    ),
    size: database.prepareColumn<number>('SELECT size FROM mark'),
    mark: database.prepare('UPDATE mark SET size = ?, first = ?, last = ?'),
    newest: find('DESC'),
    oldest: find('ASC'),
    since: database.prepareColumn<number | null>('SELECT min(span) FROM spans WHERE last_at >= ?'),
    until: database.prepareColumn<number | null>('SELECT max(span) FROM spans WHERE first_at <= ?'),
  };
}
