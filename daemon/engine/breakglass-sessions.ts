import { inScope } from '../core/breakglass.ts';
import { type BreakglassSession, foldSession, type SessionEnd } from '../core/breakglass-session.ts';
import { counting } from '../core/counting.ts';
import { isoTime } from '../core/create.ts';
import { coversPlace } from '../core/lift.ts';
import type { DecisionRequest } from '../core/request.ts';
import type { RecordedBreakglass } from '../core/verdict.ts';
import { decodeEntry, type TimeTrust } from '../formats/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type Grant, grantState } from './grants.ts';
import type { Policies } from './policies.ts';
import type { Projections } from './projections.ts';
import type { Reading, TimeKeeper } from './time.ts';

/** Sessions that may wait for their review at a time; more than anybody should ever let lie. */
export const UNREVIEWED_MAX = 200;
/** Refused attempts that are put on record within `REFUSALS_SPAN_MS`: whoever repeats one must not fill the ledger. */
const REFUSALS_MAX = 20;
const REFUSALS_SPAN_MS = 3_600_000;
/** Of each kind, what is read at the start; more never stands open. */
const RESTORED_MAX = 1_000;

interface OpenSession {
  session: BreakglassSession;
  /** Until when, and by which clock. */
  lasts: Grant;
}

/** What the clock has to record. */
export interface BreakglassDue {
  ended: { id: string; why: SessionEnd }[];
  overdue: string[];
  /** Grants that can no longer be redeemed. */
  grants: string[];
}

/**
 * The break-glass sessions that are open, those that wait for their review, and the grants that are out: what the
 * entries say, kept at hand. While there is none, asking costs one comparison.
 */
export class BreakglassSessions {
  readonly #policies: Policies;
  readonly #time: TimeKeeper;
  readonly #open = new Map<string, OpenSession>();
  /** Ended and not reviewed: when the review is due (milliseconds since 1970), and whether it is on record as overdue. */
  readonly #unreviewed = new Map<string, { due: number; overdue: boolean }>();
  /** Unused grants and when they expire. */
  readonly #grants = new Map<string, number>();
  /** Monotonic instants of the refused attempts that were recorded lately. */
  #refusals: number[] = [];

  constructor(policies: Policies, time: TimeKeeper) {
    this.#policies = policies;
    this.#time = time;
  }

  /** Takes up what the ledger says is open. */
  restore(ledger: Ledger, projections: Projections): void {
    const entriesOf = (id: string) => ledger.stream(id).map(({ bytes }) => decodeEntry(bytes));
    for (const { id, first_idx } of projections.standingOpen('breakglass', RESTORED_MAX)) {
      const entries = entriesOf(id);
      const session = foldSession(entries);
      if (session.state === 'active') this.opened(session, first_idx, entries[0]?.time_trust ?? 'uncertain');
      else this.#awaitReview(session);
    }
    for (const { id } of projections.standingOpen('grant', RESTORED_MAX)) {
      const grant = entriesOf(id)[0]?.data.grant as { expires_at: string } | undefined;
      if (grant !== undefined) this.#grants.set(id, Date.parse(grant.expires_at));
    }
  }

  #awaitReview({ id, state, review_due, expires_at }: BreakglassSession): void {
    this.#unreviewed.set(id, { due: Date.parse(review_due ?? expires_at), overdue: state === 'overdue' });
  }

  /** A session was opened by the entry at this index, while the clock was believed so far. */
  opened(session: BreakglassSession, index: number, time_trust: TimeTrust): void {
    const lasts: Grant = { index, time_trust, expires_at: Date.parse(session.expires_at) };
    this.#open.set(session.id, { session, lasts });
  }

  /** A session was ended by an entry of the batch. */
  ended(id: string, review_due_ms: number): void {
    this.#open.delete(id);
    this.#unreviewed.set(id, { due: review_due_ms, overdue: false });
  }

  /** It is on record that the review is overdue. */
  recordedOverdue(id: string): void {
    const waiting = this.#unreviewed.get(id);
    if (waiting !== undefined) waiting.overdue = true;
  }

  reviewed(id: string): void {
    this.#unreviewed.delete(id);
  }

  issued(grant: string, expires_ms: number): void {
    this.#grants.set(grant, expires_ms);
  }

  /** A grant was used, revoked, or has expired. */
  grantClosed(id: string): void {
    this.#grants.delete(id);
  }

  /** The session under which a request is asked, as evaluation takes it in; undefined where there is none. */
  match(request: DecisionRequest, environment: string, time: Reading): RecordedBreakglass | undefined {
    if (this.#open.size === 0) return undefined;
    for (const open of this.#open.values()) {
      if (!inScope(open.session.scope, request, environment) || this.#whyOver(open, time) !== null) continue;
      return { id: open.session.id, until: isoTime(time.now + this.#timeLeft(open.lasts, time)) };
    }
    return undefined;
  }

  /** Whether a session is open at this moment, whatever is recorded yet of its end. */
  isOpen(id: string, time: Reading): boolean {
    const open = this.#open.get(id);
    return open !== undefined && this.#whyOver(open, time) === null;
  }

  /** The sessions that are open now. */
  openNow(time: Reading): BreakglassSession[] {
    const open = [...this.#open.values()].filter((one) => this.#whyOver(one, time) === null);
    return open.map(({ session }) => session);
  }

  /** Ended sessions that nobody reviewed yet, the longest overdue first. */
  unreviewed(time: Reading): { id: string; due: number; overdue: boolean }[] {
    const at = believed(time);
    return [...this.#unreviewed]
      .map(([id, { due, overdue }]) => ({ id, due, overdue: overdue || due <= at }))
      .sort((a, b) => a.due - b.due);
  }

  /** Whether one more refused attempt may be put on record; counts it. */
  recordsRefusal({ monotonic }: Reading): boolean {
    this.#refusals = this.#refusals.filter((at) => at > monotonic - REFUSALS_SPAN_MS);
    if (this.#refusals.length >= REFUSALS_MAX) return false;
    this.#refusals.push(monotonic);
    return true;
  }

  /** How many sealed grants are out and unused. */
  get unusedGrants(): number {
    return this.#grants.size;
  }

  /** What has run out of time and is not on record yet; null when nothing has. */
  due(time: Reading): BreakglassDue | null {
    if (this.#open.size + this.#unreviewed.size + this.#grants.size === 0) return null;
    const at = believed(time);
    const ended = [...this.#open.values()].flatMap((open) => {
      const why = this.#whyOver(open, time);
      return why === null ? [] : [{ id: open.session.id, why }];
    });
    const overdue = [...this.#unreviewed]
      .filter(([, one]) => !one.overdue && one.due <= at)
      .map(([id]) => id);
    // A grant is not thrown away by a clock that nobody believes.
    const certain = time.trust !== 'uncertain';
    const grants = certain ? [...this.#grants].filter(([, expires]) => expires <= at).map(([id]) => id) : [];
    return ended.length + overdue.length + grants.length === 0 ? null : { ended, overdue, grants };
  }

  #whyOver({ session, lasts }: OpenSession, time: Reading): SessionEnd | null {
    const state = grantState({ time: this.#time }, time, lasts);
    if (state !== 'valid') return state === 'over' ? 'time' : 'time_uncertain';
    const policy = this.#policies.active(session.scope.environment);
    const section = policy?.compiled.bundle.breakglass;
    if (section === undefined || !coversPlace(section, session.scope)) return 'policy';
    return counting(policy?.roster ?? null)(session) ? null : 'key_revoked';
  }

  /** Milliseconds until a session ends, by the clock that it was opened by. */
  #timeLeft({ index, expires_at }: Grant, time: Reading): number {
    const offset = this.#time.timeline.offsetAt(index);
    return expires_at - (offset === null ? Math.max(time.now, time.at_least) : time.monotonic + offset);
  }
}

/** The instant that can be believed; behind it nobody is late. */
function believed(time: Reading): number {
  return time.trust === 'uncertain' ? time.at_least : time.now;
}
