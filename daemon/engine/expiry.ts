import type { DecisionRow, Projections } from './projections.ts';

/** Rows that one look reads: a few milliseconds at the most. */
const PAGE = 2_000;
/** Most decisions that one tick expires, so that a backlog never holds up the callers behind it. */
const EXPIRE_PER_TICK = 100;
/** Pause between two rounds over the permits, in milliseconds. */
const ROUND_MS = 60_000;

/**
 * Finds the decisions whose time is up. Those that wait for authority are found at once, by their index. Permits that
 * nobody used are found by going round all decisions, a page at a time: a late record is harmless, because a permit's own
 * expiry is judged when it is redeemed, and an index on them would cost every allowed decision two rows.
 */
export class Expiry {
  /** Everything up to here is closed for good; a round begins behind it. */
  #closed = '';
  #cursor = '';
  #openSeen = false;
  #nextRound = Number.NEGATIVE_INFINITY;

  /** Ids that are due at `now`, at most 100; `monotonic` paces the rounds. Both in milliseconds. */
  due(projections: Projections, now: number, monotonic: number): string[] {
    const waiting = projections.due(now, EXPIRE_PER_TICK).map(({ id }) => id);
    if (waiting.length === EXPIRE_PER_TICK || monotonic < this.#nextRound) return waiting;
    const unused = this.#unusedPermits(projections, now, EXPIRE_PER_TICK - waiting.length, monotonic);
    return [...waiting, ...unused];
  }

  #unusedPermits(projections: Projections, now: number, limit: number, monotonic: number): string[] {
    const rows = projections.page(this.#cursor, PAGE);
    const due: string[] = [];
    for (const row of rows) {
      if (due.length === limit) return due;
      if (isUnused(row) && isDue(row, now)) due.push(row.id);
      else if (row.expires_at !== null) this.#openSeen = true;
      this.#cursor = row.id;
      // Behind the first open decision nothing may be skipped: a permit can still be given to it.
      if (!this.#openSeen) this.#closed = row.id;
    }
    if (rows.length < PAGE) this.#endRound(monotonic);
    return due;
  }

  #endRound(monotonic: number): void {
    this.#cursor = this.#closed;
    this.#openSeen = false;
    this.#nextRound = monotonic + ROUND_MS;
  }
}

function isUnused({ permit }: DecisionRow): boolean {
  return permit === 'issued';
}

/** Whether a decision has run out of time, whatever it waits for. */
export function isDue({ expires_at }: DecisionRow, now: number): boolean {
  return expires_at !== null && expires_at <= now;
}
