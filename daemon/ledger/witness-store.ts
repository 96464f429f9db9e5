import { BoundaryError } from '../formats/boundary-error.ts';
import { fromHex, isHexDigest, toHex } from '../formats/digest.ts';
import { type Database, type DatabaseKind, openDatabase } from './database.ts';

/** `HLDW`: told apart by `file(1)`. */
const WITNESS_KIND: DatabaseKind = { name: 'witness state', applicationId: 0x484c4457, version: 1 };

const SCHEMA = `CREATE TABLE seen (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL CHECK (size >= 0),
  root TEXT NOT NULL CHECK (length(root) = 64),
  note TEXT NOT NULL,
  keys TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT, WITHOUT ROWID`;

/** What a witness remembers of one log. */
export interface SeenLog {
  size: number;
  root: Uint8Array;
  /** The checkpoint that was cosigned, as its log signed it: the other half of the proof, should the log ever show another. */
  note: string;
  /** The log's keys as the caller wrote them, JSON. */
  keys: string;
  /** RFC 3339, when it was cosigned. */
  at: string;
}

/**
 * The memory of an offline witness: per origin the newest tree head that it cosigned, moved only forwards and only by
 * compare-and-swap in the SQL, so that of two runs at once one loses. What is stored is on the disk on return; only then
 * may a cosignature be made. A witness that loses this file has to be retired: it could sign a second history.
 */
export interface WitnessStore {
  /** Null for a log that was never seen. Throws `BoundaryError` `witness.malformed` for a damaged row. */
  read(origin: string): SeenLog | null;
  /** Moves from what was read to what is next; false when somebody else moved it meanwhile, or next is behind. */
  advance(origin: string, before: SeenLog | null, next: SeenLog): boolean;
  close(): void;
}

/** Opens, or with `create` makes, a witness's memory. Throws the errors of `openDatabase`, and `witness.malformed`. */
export function openWitnessStore(path: string, options: { create?: boolean } = {}): WitnessStore {
  const database = openDatabase(path, { kind: WITNESS_KIND, ...options });
  if (options.create === true) database.exec(SCHEMA);
  else assertSchema(database);
  const select = database.prepare<Omit<SeenLog, 'root'> & { root: string }>(
    'SELECT size, root, note, keys, at FROM seen WHERE origin = ?',
  );
  const insert = database.prepare(
    'INSERT INTO seen (origin, size, root, note, keys, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const move = database.prepare(
    `UPDATE seen SET size = ?, root = ?, note = ?, keys = ?, at = ?
     WHERE origin = ? AND size = ? AND root = ? AND (? > size OR (? = size AND ? = root))`,
  );
  return {
    read(origin) {
      const row = select.get(origin);
      if (row === undefined) return null;
      const isWhole =
        Number.isSafeInteger(row.size) && isHexDigest(row.root) && [row.note, row.keys, row.at].every(isText);
      if (!isWhole) throw malformed(path);
      return { ...row, root: fromHex(row.root) };
    },
    advance(origin, before, { size, root, note, keys, at }) {
      const hex = toHex(root);
      if (before === null) return insert.run(origin, size, hex, note, keys, at).changes === 1;
      const from = [origin, before.size, toHex(before.root)] as const;
      return move.run(size, hex, note, keys, at, ...from, size, size, hex).changes === 1;
    },
    close: () => database.close(),
  };
}

/** Its one table, and nothing that could act on it. */
function assertSchema(database: Database): void {
  const objects = database.prepareColumn<string>('SELECT sql FROM sqlite_schema').all();
  if (objects.length === 1 && objects[0] === SCHEMA) return;
  const { path } = database;
  database.close();
  throw malformed(path);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function malformed(path: string): BoundaryError {
  return new BoundaryError(
    'witness.malformed',
    `${path} is not a witness's state as this program writes it; nothing was cosigned and it was left as it is. Restore it from a backup; without one, retire this witness's key.`,
    { at: path },
  );
}
