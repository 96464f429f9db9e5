import { PROJECTION_OBJECTS } from '../engine/projection-tables.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';
import { decodeEntryBundle, parseTilePath, TILE_WIDTH } from '../formats/tile.ts';
import { type Database, openDatabase, type SqlValue } from '../ledger/database.ts';
import { LEDGER_KIND, LEDGER_OBJECTS, TILE_LEVEL_STEP } from '../ledger/schema.ts';
import type { Member } from './contents.ts';
import { malformedBackup } from './manifest.ts';

const OBJECTS = [...LEDGER_OBJECTS, ...PROJECTION_OBJECTS];
/** Bytes of entries in one transaction. */
const COMMIT_BYTES = 32 * 1024 * 1024;

/**
 * Builds a ledger's database from the members of a backup, in their order. Takes them at their word: whoever uses the
 * result verifies it first. Throws `BoundaryError` `backup.malformed`.
 */
export class LedgerBuilder {
  readonly #database: Database;
  readonly #entry;
  readonly #tile;
  #links: [index: number, previous: number | null][] = [];
  #uncommitted = 0;

  constructor(path: string) {
    this.#database = openDatabase(path, { kind: LEDGER_KIND, create: true });
    this.#database.begin();
    // Triggers come last: retention may have left gaps, which they would not let in.
    for (const { type, sql } of OBJECTS) if (type === 'table') this.#database.exec(sql);
    this.#entry = this.#database.prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, ?, ?)');
    this.#tile = this.#database.prepare('INSERT INTO tiles (id, hashes) VALUES (?, ?)');
  }

  /** Takes a member if it is about the ledger's database; false for any other. */
  take({ name, bytes }: Member): boolean {
    const table = /^tables\/([a-z_]{1,64})\/[0-9]{6}\.json$/.exec(name)?.[1];
    if (table !== undefined) this.#rows(table, jsonOf(name, bytes));
    else if (/^links\/[0-9]{6}\.json$/.test(name)) this.#link(name, jsonOf(name, bytes));
    else if (/^(tile\/entries|rows)\//.test(name)) this.#bundle(name, bytes);
    else if (name.startsWith('tile/')) this.#hashes(name, bytes);
    else return false;
    this.#uncommitted += bytes.length;
    if (this.#uncommitted > COMMIT_BYTES) this.#commit();
    return true;
  }

  #commit(): void {
    this.#database.commit();
    this.#database.begin();
    this.#uncommitted = 0;
  }

  #rows(table: string, value: Json): void {
    const { columns, rows } = value as { columns?: Json; rows?: Json };
    const known = this.#columns(table);
    if (!Array.isArray(columns) || columns.join() !== known.join() || !Array.isArray(rows))
      throw malformedBackup(
        `its table ${table} is not as this program knows it (use the version that made it)`,
      );
    const names = known.map((name) => `"${name}"`).join();
    const insert = this.#database.prepare(
      `INSERT INTO ${table} (${names}) VALUES (${known.map(() => '?').join()})`,
    );
    for (const row of rows) {
      if (!Array.isArray(row) || row.length !== known.length)
        throw malformedBackup(`a row of ${table} is cut short`);
      inserted(table, () => insert.run(...row.map(sqlValue)));
    }
  }

  #columns(table: string): string[] {
    const isOurs = OBJECTS.some(({ type, name }) => type === 'table' && name === table);
    if (!isOurs || table === 'entries' || table === 'tiles') return [];
    return this.#database.prepareColumn<string>(`SELECT name FROM pragma_table_info('${table}')`).all();
  }

  #link(name: string, value: Json): void {
    if (this.#links.length > 0) throw malformedBackup(`entries are missing before ${name}`);
    const isLink = (link: Json): boolean =>
      Array.isArray(link) && isIndex(link[0]) && (link[1] === null || isIndex(link[1])) && link.length === 2;
    if (!Array.isArray(value) || !value.every(isLink)) throw malformedBackup(`${name} cannot be read`);
    this.#links = value as [number, number | null][];
  }

  #bundle(name: string, bytes: Uint8Array): void {
    for (const entry of decodeEntryBundle(bytes)) {
      const link = this.#links.shift();
      if (link === undefined) throw malformedBackup(`${name} holds more entries than it should`);
      inserted(name, () => this.#entry.run(link[0], link[1], entry));
    }
  }

  /** Full tiles are stored; partial ones follow from the entries. */
  #hashes(name: string, bytes: Uint8Array): void {
    const { level, n, width } = parseTilePath(name);
    if (level === null || width < TILE_WIDTH) return;
    inserted(name, () => this.#tile.run(level * TILE_LEVEL_STEP + n, bytes));
  }

  /** After the last member: triggers, indexes, and everything on the disk. */
  finish(): void {
    if (this.#links.length > 0) throw malformedBackup('entries are missing at its end');
    for (const { type, sql } of OBJECTS) if (type !== 'table') this.#database.exec(sql);
    this.#database.commit();
    this.#database.pragma('wal_checkpoint(TRUNCATE)');
    this.#database.close();
  }

  /** Gives up. The file is the caller's to remove. */
  close(): void {
    this.#database.rollback();
    this.#database.close();
  }
}

function jsonOf(name: string, bytes: Uint8Array): Json {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
  } catch (cause) {
    throw malformedBackup(`${name} cannot be read`, cause);
  }
}

function isIndex(value: Json | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function sqlValue(value: Json): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  const { base64 } = (typeof value === 'object' ? value : {}) as { base64?: Json };
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64');
  throw malformedBackup('it holds a value that no table can hold');
}

/** A row that the table does not take is the backup's fault. */
function inserted(where: string, insert: () => void): void {
  try {
    insert();
  } catch (cause) {
    if (cause instanceof BoundaryError) throw cause;
    const isConstraint =
      cause instanceof Error && 'code' in cause && /CONSTRAINT|MISMATCH/.test(String(cause.code));
    if (!isConstraint) throw cause;
    throw malformedBackup(`a row of ${where} does not belong there`, cause);
  }
}
