/*
 * A small model of the rules, written from the design and sharing nothing with the code: what a decision may become, who
 * counts, what is held back. It knows one policy (`model-world.ts`) and no formats.
 */

export type Kind = 'read' | 'firmware' | 'wipe' | 'glass';
export type Name = 'alice' | 'bob' | 'carol' | 'lena';
export type Status =
  | 'pending_authority'
  | 'authorized'
  | 'executed'
  | 'reviewed'
  | 'denied'
  | 'expired'
  | 'cancelled';
export type PermitState = 'none' | 'issued' | 'redeemed' | 'succeeded' | 'failed' | 'unknown';

const MINUTE = 60_000;
const PENDING_MS = 60 * MINUTE;
const PERMIT_MS = 5 * MINUTE;
const GLASS_MS = 30 * MINUTE;

export const ROLES: Readonly<Record<Name, readonly string[]>> = {
  alice: ['l3'],
  bob: ['safety_officer'],
  carol: ['l3', 'safety_officer'],
  lena: ['l5', 'l3'],
};

export interface ModelDecision {
  kind: Kind;
  status: Status;
  permit: PermitState;
  /** Milliseconds of model time; meaningless once something is final. */
  until: number;
  votes: { name: Name; role: string }[];
  /** The session under which it was allowed. */
  session: number | null;
}

interface Session {
  until: number;
  ended: boolean;
  reviewed: boolean;
}

export class Model {
  now = 0;
  readonly decisions: ModelDecision[] = [];
  readonly sessions: Session[] = [];
  readonly suspended = new Set<Name>();
  incidents = 0;

  /** The session that reaches what `glass` asks for, if one is open. */
  get openSession(): number | null {
    const index = this.sessions.findIndex((session) => this.#isOpen(session));
    return index < 0 ? null : index;
  }

  #isOpen(session: Session): boolean {
    return !session.ended && session.until > this.now && !this.suspended.has('lena');
  }

  create(kind: Kind): ModelDecision {
    const session = kind === 'glass' ? this.openSession : null;
    const held = this.incidents > 0 && session === null;
    const made: ModelDecision = { kind, status: 'denied', permit: 'none', until: 0, votes: [], session };
    if (kind === 'read' && !held) this.#grant(made);
    if (kind === 'glass' && session !== null) this.#grant(made);
    if (kind === 'firmware' && !held)
      Object.assign(made, { status: 'pending_authority', until: this.now + PENDING_MS });
    this.decisions.push(made);
    return made;
  }

  #grant(decision: ModelDecision): void {
    decision.status = 'authorized';
    decision.permit = 'issued';
    const session = decision.session === null ? null : this.sessions[decision.session];
    decision.until = Math.min(this.now + PERMIT_MS, session?.until ?? Number.POSITIVE_INFINITY);
  }

  #satisfied({ votes }: ModelDecision): boolean {
    const counted = votes.filter(({ name }) => !this.suspended.has(name));
    const peers = counted.filter(({ role }) => role === 'l3').length;
    return peers >= 1 && counted.filter(({ role }) => role === 'safety_officer').length >= 1;
  }

  /** Whether the answer counts. */
  answer(decision: ModelDecision, name: Name, role: string, yes: boolean): boolean {
    if (decision.status !== 'pending_authority' || decision.until <= this.now) return false;
    if (this.suspended.has(name) || !ROLES[name].includes(role)) return false;
    if (yes && role !== 'l3' && role !== 'safety_officer') return false;
    if (decision.votes.some((vote) => vote.name === name && !this.suspended.has(vote.name))) return false;
    if (!yes) {
      decision.status = 'denied';
      return true;
    }
    decision.votes.push({ name, role });
    if (this.#satisfied(decision)) this.#grant(decision);
    return true;
  }

  cancel(decision: ModelDecision): boolean {
    const may =
      decision.status === 'pending_authority' ||
      (decision.status === 'authorized' && decision.permit === 'issued');
    if (may) decision.status = 'cancelled';
    return may;
  }

  redeem(decision: ModelDecision): boolean {
    const { session } = decision;
    const alive = session === null ? this.incidents === 0 : this.#isOpen(this.sessions[session] as Session);
    const may =
      decision.status === 'authorized' &&
      decision.permit === 'issued' &&
      decision.until > this.now &&
      alive &&
      (decision.kind !== 'firmware' || this.#satisfied(decision));
    if (may) decision.permit = 'redeemed';
    return may;
  }

  report(decision: ModelDecision, result: 'succeeded' | 'failed' | 'unknown'): boolean {
    if (decision.permit !== 'redeemed' || decision.status !== 'authorized') return false;
    decision.permit = result;
    decision.status = 'executed';
    return true;
  }

  reconcile(decision: ModelDecision): boolean {
    if (decision.status !== 'executed' || decision.permit !== 'unknown' || this.suspended.has('carol'))
      return false;
    decision.permit = 'failed';
    return true;
  }

  review(decision: ModelDecision): boolean {
    const known = decision.permit === 'succeeded' || decision.permit === 'failed';
    if (decision.status !== 'executed' || !known || this.suspended.has('carol')) return false;
    decision.status = 'reviewed';
    return true;
  }

  /** Lena breaks the glass; one session at a time. */
  activate(): boolean {
    if (this.suspended.has('lena') || this.openSession !== null) return false;
    this.sessions.push({ until: this.now + GLASS_MS, ended: false, reviewed: false });
    return true;
  }

  end(index: number): boolean {
    const session = this.sessions[index];
    if (session === undefined || !this.#isOpen(session)) return false;
    session.ended = true;
    return true;
  }

  /** Something ran that no permit covers: the site is halted, once. */
  halt(): boolean {
    this.incidents = 1;
    return true;
  }

  /** Alice lets it go on. */
  resume(): boolean {
    if (this.incidents === 0 || this.suspended.has('alice')) return false;
    this.incidents = 0;
    return true;
  }

  /** Bob takes trust away. */
  suspend(name: Name): boolean {
    if (this.suspended.has('bob') || this.suspended.has(name)) return false;
    this.suspended.add(name);
    return true;
  }

  /** Time passes and the clock's own work is done. A permit's late record is harmless, so only what waits must expire. */
  pass(ms: number): void {
    this.now += ms;
    for (const decision of this.decisions) {
      if (decision.status === 'pending_authority' && decision.until <= this.now) decision.status = 'expired';
    }
  }

  /** Statuses that the site may show: a permit that ran out is recorded as expired sooner or later. */
  shown(decision: ModelDecision): Status[] {
    const over =
      decision.session === null ? false : !this.#isOpen(this.sessions[decision.session] as Session);
    const out =
      decision.status === 'authorized' &&
      decision.permit === 'issued' &&
      (decision.until <= this.now || over);
    return out ? ['authorized', 'expired'] : [decision.status];
  }
}
