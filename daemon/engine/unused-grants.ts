import type { Database } from '../ledger/database.ts';
import type { DecisionRow } from './projections.ts';

/** A stream's newest entry beside the decision's row, whose columns are null when it is missing. */
export type Joined = [
  stream: string,
  head: number,
  id: string | null,
  status: DecisionRow['status'],
  permit: DecisionRow['permit'],
  lastIdx: number,
  expiresAt: number | null,
  prevIdx: number | null,
  /** Null when the stream names an entry that is not there. */
  text: string | null,
];

const JOINED = `
SELECT stream, streams.last_idx, id, status, permit, decisions.last_idx, expires_at, prev_idx, CAST(bytes AS TEXT)
FROM streams LEFT JOIN decisions ON id = stream LEFT JOIN entries ON idx = streams.last_idx
WHERE `;
export const JOINED_ALL = `${JOINED} stream >= ? AND stream < ?`;
export const JOINED_ONE = `${JOINED} stream = ?`;

/**
 * Decisions in order of their ids: the newest entry, and the expiry where the tables call the permit unused and that entry
 * the only one; else the name. Two numbers for most rows, because each text that comes out of SQLite costs as much as all the rest.
 */
const ROWS = `
SELECT streams.last_idx, expires_at, iif(decisions.last_idx = streams.last_idx AND streams.seq = 0 AND expires_at > 0
  AND status = 'authorized' AND permit = 'issued', NULL, stream)
FROM streams LEFT JOIN decisions ON id = stream WHERE stream >= ? AND stream < ?`;

/**
 * The rows that say "allowed at once, not used yet", which on a busy site are most: what they say is put beside what the
 * verification of the entries saw, so that no entry is read twice. That comes from other threads, hence later.
 */
export class UnusedGrants {
  readonly #database: Database;
  /** The expiry that the row says, by the index of the entry that made it. */
  readonly #expiries: Float64Array;
  #kept = 0;

  constructor(database: Database, entries: number) {
    this.#database = database;
    this.#expiries = new Float64Array(entries);
  }

  /**
   * Goes through all streams of decisions; returns the names of those that are something else. Null when two streams end at
   * one entry, or one beyond the last: nothing can be put beside anything then.
   */
  sift(from: string, below: string): string[] | null {
    const rows = this.#database.prepareTuple<[head: number, expiresAt: number, stream: string | null]>(ROWS);
    const others: string[] = [];
    for (const [head, expiresAt, stream] of rows.iterate(from, below)) {
      if (stream !== null) others.push(stream);
      else if (this.#expiries[head] !== 0) return null;
      else {
        this.#expiries[head] = expiresAt;
        this.#kept++;
      }
    }
    return others;
  }

  /** How many rows wait to be compared. */
  get kept(): number {
    return this.#kept;
  }

  /** Entries whose row says something else than what was seen of them: when they make an unused permit expire, or 0. */
  *unlike(seen: Float64Array): Generator<number> {
    for (let head = 0; head < this.#expiries.length; head++) {
      if (this.#expiries[head] !== 0 && this.#expiries[head] !== seen[head]) yield head;
    }
  }
}

/** How far the clock is believed while nothing is wrong. */
const TRUSTS = ['floor', 'trusted'] as const;

/**
 * Whether a row is surely right, told without parsing: most decisions of a busy site are allowed at once, and most of the
 * time of this check would go into their JSON. True only for the one entry of an allow whose permit is unused, when row and
 * entry agree. The looks are exact because in canonical JSON a quote inside a string is escaped, `transitions` is the last
 * member of `data`, and what stands beside the expiry is the permit's own id.
 */
export function isUnusedGrant(joined: Joined, site: string): boolean {
  const [stream, head, id, status, permit, lastIdx, expiresAt, prevIdx, text] = joined;
  if (id !== stream || status !== 'authorized' || permit !== 'issued' || lastIdx !== head) return false;
  if (text === null || prevIdx !== null || expiresAt === null) return false;
  const until = new Date(expiresAt);
  if (Number.isNaN(until.getTime())) return false;
  return (
    TRUSTS.some((trust) =>
      text.endsWith(
        `"authorized"]},"prev":null,"seq":0,"site":"${site}","stream":"${stream}",` +
          `"time_trust":"${trust}","type":"decision.authorized","v":1}`,
      ),
    ) &&
    hasMember(text, `expires_at":"${until.toISOString()}","id":"prm_${stream.slice(4)}","not_before":"`) &&
    !text.includes(IDEMPOTENCY) &&
    !text.includes(BREAKGLASS)
  );
}

/*
 * The ends of `"idempotency":{` and `"breakglass":{`. A search is fast as long as what it looks for begins with a letter that is
 * seldom, which in JSON a quotation mark is not; and to find too much here only means to look closer.
 */
const IDEMPOTENCY = 'potency":{';
const BREAKGLASS = 'kglass":{';

/** Whether a text has `"` and then `rest`, which begins with an e and a letter that is seldom. */
function hasMember(text: string, rest: string): boolean {
  const at = text.indexOf(rest.slice(1));
  return at >= 2 && text.startsWith(`"${rest}`, at - 2);
}
