import { BoundaryError } from '../formats/boundary-error.ts';
import { parseCheckpoint } from '../formats/checkpoint.ts';
import { isHexDigest, toHex } from '../formats/digest.ts';
import { EMPTY_ROOT } from '../formats/merkle.ts';
import { parseNote } from '../formats/signed-note.ts';
import { type Database, openDatabase } from './database.ts';
import { HEAD_KIND, HEAD_SCHEMA } from './schema.ts';

/** The newest tree head that was put beyond the reach of a ledger rollback. */
export interface Head {
  size: number;
  /** Hex RFC 6962 root at `size`. */
  root: string;
  /** The checkpoint; null only for the empty tree. */
  note: string | null;
}

export interface StoredHead extends Head {
  /** Time floor: Unix milliseconds before which it cannot be now. */
  floorMs: number;
}

/**
 * The second database: per origin the latest checkpoint and the time floor, each moved only by compare-and-swap in the
 * SQL, so that two processes that believe themselves the writer cannot both succeed. Every move is synced on return.
 */
export interface HeadStore {
  /** Null when the origin has never been enrolled here. Throws `BoundaryError` `head.malformed` for a damaged row. */
  read(origin: string): StoredHead | null;
  /** Adds an origin at the empty tree. Throws `BoundaryError` `head.enrolled` when it is known already. */
  enroll(origin: string): void;
  /** Moves from `old` to `next`; false when the store does not stand at `old` or `next` is behind it. */
  advance(origin: string, old: Head, next: Head): boolean;
  /**
   * Moves from where this process last saw the store to a newer checkpoint (verified, or just made, by the caller; its
   * origin names the row); false when it stands there already. Throws `BoundaryError` `head.forked` when the store
   * stands elsewhere: then another process wrote under this origin, and this one must stop.
   */
  advanceTo(note: string): boolean;
  /** Moves the floor up to `ms`; false when it is there already. */
  raiseFloor(origin: string, ms: number): boolean;
  /** Moves the floor anywhere (a signed time statement may lower it); false when it did not stand at `old`. */
  setFloor(origin: string, old: number, next: number): boolean;
  close(): void;
}

/** Opens, or with `create` makes, a head store. Throws the errors of `openDatabase`, and `head.malformed`. */
export function openHeadStore(
  path: string,
  options: { create?: boolean; readonly?: boolean } = {},
): HeadStore {
  const database = openDatabase(path, { kind: HEAD_KIND, ...options });
  if (options.create === true) database.exec(HEAD_SCHEMA);
  else assertSchema(database);
  const select = database.prepare<StoredHead>(
    'SELECT size, root, note, floor_ms AS floorMs FROM head WHERE origin = ?',
  );
  const insert = database.prepare(
    'INSERT INTO head (origin, size, root, note, floor_ms) VALUES (?, 0, ?, NULL, 0)',
  );
  const move = database.prepare(
    `UPDATE head SET size = ?, root = ?, note = ?
     WHERE origin = ? AND size = ? AND root = ? AND (? > size OR (? = size AND ? = root))`,
  );
  const raiseFloor = database.prepare('UPDATE head SET floor_ms = ? WHERE origin = ? AND floor_ms < ?');
  const setFloor = database.prepare('UPDATE head SET floor_ms = ? WHERE origin = ? AND floor_ms = ?');
  /** Where this process last saw each origin: what `advanceTo` compares with. */
  const seen = new Map<string, Head>();

  function read(origin: string): StoredHead | null {
    const head = select.get(origin);
    if (head === undefined) return null;
    assertHead(head, path);
    seen.set(origin, head);
    return head;
  }

  function advance(origin: string, old: Head, next: Head): boolean {
    const { size, root, note } = next;
    if (move.run(size, root, note, origin, old.size, old.root, size, size, root).changes !== 1) return false;
    seen.set(origin, next);
    return true;
  }

  return {
    read,
    enroll(origin) {
      if (read(origin) !== null) {
        throw new BoundaryError('head.enrolled', `The head store ${path} knows ${origin} already.`, {
          at: path,
        });
      }
      insert.run(origin, toHex(EMPTY_ROOT));
    },
    advance,
    advanceTo(note) {
      const { origin, ...next } = headOf(note);
      const old = seen.get(origin) ?? read(origin);
      if (old?.note === note) return false;
      if (old === null || !advance(origin, old, next)) throw forked(path, origin, old, next);
      return true;
    },
    raiseFloor: (origin, ms) => raiseFloor.run(ms, origin, ms).changes === 1,
    setFloor: (origin, old, next) => setFloor.run(next, origin, old).changes === 1,
    close: () => database.close(),
  };
}

/** Its one table, and nothing that could act on it. */
function assertSchema(database: Database): void {
  const objects = database.prepareColumn<string>('SELECT sql FROM sqlite_schema').all();
  if (objects.length === 1 && objects[0] === HEAD_SCHEMA) return;
  const { path } = database;
  database.close();
  throw new BoundaryError(
    'head.malformed',
    `The head store ${path} does not have the table that it should have; it was left as it is. Run ledger verify, then restore a backup.`,
    { at: path },
  );
}

/** Copies the ledger's newest committed checkpoint into the store: `advanceTo`, or false for a ledger without one. */
export function saveHead(store: HeadStore, ledger: { checkpoint(): string | null }): boolean {
  const note = ledger.checkpoint();
  return note !== null && store.advanceTo(note);
}

/** The head that a checkpoint stands for. The caller has verified the note, or made it. */
export function headOf(note: string): Head & { origin: string } {
  const { origin, size, root } = parseCheckpoint(parseNote(note).text);
  return { origin, size, root: toHex(root), note };
}

/** In a damaged file a value may be of any type, whatever the schema says. */
function assertHead({ size, root, note, floorMs }: StoredHead, path: string): void {
  const noted = note === null ? size === 0 : typeof note === 'string';
  if (Number.isSafeInteger(size) && size >= 0 && isHexDigest(root) && noted && Number.isSafeInteger(floorMs))
    return;
  throw new BoundaryError(
    'head.malformed',
    `The head store ${path} is damaged; nothing was opened. Run ledger verify, and restore the head store from a backup.`,
    { at: path },
  );
}

function forked(path: string, origin: string, old: Head | null, next: Head): BoundaryError {
  return new BoundaryError(
    'head.forked',
    `The head store ${path} does not stand at size ${old?.size ?? 'none'} of ${origin} any more, so the checkpoint of ` +
      `size ${next.size} was not stored: another process wrote, or a file was replaced. Stop the daemon and run ledger verify.`,
    { at: path },
  );
}
