import { type EngineState, loadDecision } from './context.ts';
import { bootGrace, grantState } from './grants.ts';
import type { DecisionRow } from './projections.ts';
import type { Reading } from './time.ts';

/** Rows that one look reads: a few milliseconds at the most. */
const PAGE = 2_000;
/** Decisions that one look reads whole, where their rows do not say enough. */
const LOADS_PER_TICK = 200;
/** Most decisions that one tick expires, so that a backlog never holds up the callers behind it. */
const EXPIRE_PER_TICK = 100;
/** Pause between two rounds over the permits, in milliseconds. */
const ROUND_MS = 60_000;

const WAITING: readonly string[] = ['evaluated', 'pending_authority'];

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
  /** The first round of a run looks at everything: clocks of earlier boots may have said anything. */
  #firstRound = true;

  /** Ids that are due now, at most 100. */
  due(state: EngineState, now: Reading): string[] {
    const judge = new OverdueJudge(state, now, this.#firstRound);
    const waiting = state.projections
      .due(judge.latest, EXPIRE_PER_TICK)
      .filter((row) => judge.isOver(row))
      .map(({ id }) => id);
    if (waiting.length === EXPIRE_PER_TICK || now.monotonic < this.#nextRound) return waiting;
    const found = this.#inRound(state, judge, EXPIRE_PER_TICK - waiting.length);
    return [...new Set([...waiting, ...found])];
  }

  #inRound({ projections }: EngineState, judge: OverdueJudge, limit: number): string[] {
    const rows = projections.page(this.#cursor, PAGE);
    const due: string[] = [];
    for (const row of rows) {
      if (due.length === limit || judge.isTired) return due;
      if (judge.isCandidate(row) && judge.isOver(row)) due.push(row.id);
      else if (row.expires_at !== null) this.#openSeen = true;
      this.#cursor = row.id;
      // Behind the first open decision nothing may be skipped: a permit can still be given to it.
      if (!this.#openSeen) this.#closed = row.id;
    }
    if (rows.length < PAGE) this.#endRound(judge.now.monotonic);
    return due;
  }

  #endRound(monotonic: number): void {
    this.#cursor = this.#closed;
    this.#openSeen = false;
    this.#nextRound = monotonic + ROUND_MS;
    this.#firstRound = false;
  }
}

/**
 * Whether open decisions have run out of time, at one instant. As long as the clock was not set in this boot, and can be
 * believed, their rows tell; else each is read for when, and by which clock, it was granted (`grantState`).
 */
export class OverdueJudge {
  readonly now: Reading;
  readonly #state: EngineState;
  /** The clock was not set in this boot, and can be believed. */
  readonly #plain: boolean;
  readonly #thorough: boolean;
  #loads = 0;

  constructor(state: EngineState, now: Reading, thorough = false) {
    this.now = now;
    this.#state = state;
    this.#plain = now.trust !== 'uncertain' && state.time.timeline.isPlain;
    this.#thorough = thorough || !this.#plain;
  }

  /** Nothing that expires later than this by its own clock is over. */
  get latest(): number {
    return this.#plain
      ? this.now.now
      : Math.max(this.now.now, this.#state.time.timeline.latest(this.now.monotonic));
  }

  /** Has read as much as one tick may. */
  get isTired(): boolean {
    return this.#loads >= LOADS_PER_TICK;
  }

  /** Whether a round must look at this row: the index of those that wait finds the others. */
  isCandidate({ status, permit }: DecisionRow): boolean {
    return permit === 'issued' || (this.#thorough && WAITING.includes(status));
  }

  isOver(row: DecisionRow): boolean {
    if (row.expires_at === null) return false;
    if (this.#plain && row.expires_at <= this.now.now) return true;
    if (!this.#thorough) return false;
    this.#loads++;
    const record = loadDecision(this.#state, row.id);
    if (record === null) return false;
    const granted =
      record.permit_index === null
        ? { index: record.first_index, time_trust: record.decision.time_trust }
        : { index: record.permit_index, time_trust: record.permit_time_trust ?? 'uncertain' };
    const standing = grantState(this.#state, this.now, { ...granted, expires_at: row.expires_at });
    return (
      standing === 'over' ||
      (standing === 'unknown' && this.#state.time.doubtedFor() > bootGrace(this.#state))
    );
  }
}
