import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import { followRotations } from '../formats/key-rotation.ts';
import { type LogKey, type LogVkey, parseLogVkey, type RangedVkey, reachedBy } from '../formats/log-keys.ts';
import { type Database, isCorruption } from './database.ts';
import type { Finding } from './finding.ts';
import type { EntryRows } from './verify-archive.ts';
import type { LedgerTrust } from './verify-range.ts';

/** The stream that rotations are in (engine/key-stream.ts). */
const KEY_STREAM = 'keys';
/** Far more entries about keys than a site ever has: a stream that was tampered with must not lead on for ever. */
const MAX_ENTRIES = 100_000;

/**
 * Whom to believe about a ledger, given whom to believe at first: a key that is believed without end may have been changed
 * since, and vouches for its successor by a statement that the ledger holds. Nothing else in the ledger is believed for it, so
 * it is of no account that it was not verified yet. `followed` are the keys that were unknown.
 *
 * Whoever has the old key could have made such a statement, too: only a newer trust file, or an anchor, says that nobody did.
 */
export function followKeys(database: Database, rows: EntryRows, trust: LedgerTrust): Followed {
  return followStatements(trust, () => readable(() => statementsIn(database, rows)));
}

/** Whom to believe after keys were followed, and those that were unknown. */
export interface Followed {
  trust: LedgerTrust;
  followed: LogKey[];
}

/** The same with statements from wherever they are found; they are asked for only if there is a key to go on from. */
export function followStatements(trust: LedgerTrust, read: () => string[]): Followed {
  const open = trust.vkeys.filter((like) => parseLogVkey(like).name === trust.origin && isOpen(like));
  const statements = open.length === 0 ? [] : read();
  if (statements.length === 0) return { trust, followed: [] };
  const known = new Set(trust.vkeys.map((like) => parseLogVkey(like).text));
  const followed: LogKey[] = [];
  const vkeys = trust.vkeys.flatMap((like): LogVkey[] => {
    if (!open.includes(like)) return [like];
    const from = typeof like === 'string' || !('from' in like) ? 0 : Number(like.from);
    const key = { ...firstKey(parseLogVkey(like).text), from };
    const { keys } = followRotations({ origin: trust.origin, keys: [key] }, statements);
    if (keys.length === 1) return [like];
    followed.push(...keys.slice(1).filter(({ vkey }) => !known.has(vkey)));
    return keys;
  });
  return { trust: { ...trust, vkeys }, followed };
}

/** A damaged page is reported where the rows on it are verified; here it means that nobody vouches for another key. */
function readable(read: () => string[]): string[] {
  try {
    return read();
  } catch (error) {
    if (isCorruption(error)) return [];
    throw error;
  }
}

function firstKey(vkey: string): LogKey {
  return { vkey, from: 0, until: null };
}

/** Whether a key is believed for all checkpoints to come. */
function isOpen(like: LogVkey): boolean {
  return typeof like === 'string' || !('until' in like) || like.until === null;
}

/** The statements about changed keys in a ledger, oldest first. */
function statementsIn(database: Database, rows: EntryRows): string[] {
  const newest = database
    .prepareColumn<number>('SELECT CAST(last_idx AS INTEGER) FROM streams WHERE stream = ?')
    .get(KEY_STREAM);
  const found: string[] = [];
  let next = newest ?? null;
  for (let count = 0; next !== null && count < MAX_ENTRIES; count++) {
    const [row] = [...rows.range(next, next + 1)];
    const [, previous, text] = row ?? [next, null, null];
    // Missing, carried off, or a chain that leads in a circle: said where the entries are verified.
    if (text === null || (previous !== null && previous >= next)) break;
    found.push(...statementOf(text));
    next = previous;
  }
  return found.reverse();
}

/** The statement in an entry's text, if it has one. */
export function statementOf(text: string): string[] {
  try {
    const { type, data } = decodeEntry(Buffer.from(text, 'utf8'));
    return type === 'key.rotated' && typeof data.statement === 'string' ? [data.statement] : [];
  } catch (error) {
    if (error instanceof BoundaryError) return [];
    throw error;
  }
}

/**
 * Which of the site's logs a ledger is, by its newest checkpoint: the newest of those that are believed, or one that it goes
 * on for. What the checkpoint says is verified with the entries.
 */
export function believedOrigin(database: Database, trust: LedgerTrust): string {
  const note = database
    .prepareColumn<string>(
      "SELECT coalesce(CAST(note AS TEXT), '') FROM checkpoints ORDER BY size DESC LIMIT 1",
    )
    .get();
  const origin = note?.split('\n', 1)[0] ?? '';
  return trust.vkeys.some((like) => parseLogVkey(like).name === origin) ? origin : trust.origin;
}

/**
 * Whether a ledger ends before a size that its keys are known to have reached: whoever has a key that was rotated out can cut
 * the log back to where that key signed, and no checkpoint in it would show.
 */
export function cutBack(trust: LedgerTrust, origin: string, entries: number): Finding | null {
  const keys = trust.vkeys.map(parseLogVkey).filter((key) => key.name === origin && 'from' in key);
  const reached = reachedBy(keys as RangedVkey[]);
  if (entries >= reached) return null;
  const detail = `the ledger ends at ${entries} entries, and had ${reached} when its key was changed or the log closed, by the keys given`;
  return { code: 14, what: 'checkpoint', where: `size ${reached}`, detail };
}
