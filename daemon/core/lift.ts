import { anyOf } from './authority.ts';
import type { Bundle, BundleBreakGlass } from './bundle.ts';
import type { Target } from './request.ts';
import { STOP_GATES } from './site-stops.ts';
import type { GateResult, RecordedBreakglass, Verdict } from './verdict.ts';

/** What a session is opened for, and what a request names. */
export interface Place {
  class: string;
  environment: string;
  target: Target;
}

/** The gates beside a bundle's own that its break-glass section may name. */
export const LIFTABLE_CHECKS: readonly string[] = ['policy.freshness', 'anchor.overdue', 'time.uncertain'];
const ROUTE_GATE = 'authority.route';

/** Whether a policy lets the glass be broken for this, word for word. */
export function coversPlace({ covers }: BundleBreakGlass, place: Place): boolean {
  const target = `${place.target.type}:${place.target.id}`;
  return covers.some(
    ({ classes, environments, targets }) =>
      classes.includes(place.class) && reaches(environments, place.environment) && reaches(targets, target),
  );
}

function reaches(list: readonly string[] | undefined, name: string): boolean {
  return list === undefined || list.length === 0 || list.includes(name);
}

/** What an open session lifts, by the policy that judges. */
export type Lifts = BundleBreakGlass['lifts'];

/**
 * What the session that is open for a request lifts: null without one, and where the policy (a later one, perhaps) does
 * not cover it.
 */
export function liftsOf(
  { breakglass }: Bundle,
  session: RecordedBreakglass | undefined,
  place: { class: string; environment: string; target: Target | null },
): Lifts | null {
  const { target } = place;
  if (session === undefined || breakglass === undefined || target === null) return null;
  return coversPlace(breakglass, { ...place, target }) ? breakglass.lifts : null;
}

/** Marks in place the gates that a session lifts. */
export function liftGates(gates: GateResult[], lifts: Lifts): void {
  for (const [index, gate] of gates.entries()) {
    if (gate.result === 'pass' || !isLifted(gate.id, lifts)) continue;
    const { exception_role: _, ...rest } = gate;
    gates[index] = { ...rest, result: 'lifted' };
  }
}

function isLifted(id: string, lifts: Lifts): boolean {
  // A halt, or a disk that is nearly full, denies everything that is governed, break-glass apart.
  if (STOP_GATES.includes(id)) return true;
  return (id === ROUTE_GATE && lifts.authority) || lifts.gates?.includes(id) === true;
}

/** Whether doubtful time holds a request up all the same. */
export function liftsTime(lifts: Lifts | null): boolean {
  return lifts?.gates?.includes('time.uncertain') === true;
}

/** What is left of the authority that routes demand. */
export function liftAuthority(
  authority: Verdict['authority'] | null,
  lifts: Lifts,
): Verdict['authority'] | null {
  if (!lifts.authority) return authority;
  return { route: authority?.route ?? null, required: [] };
}

/** What an open session spared a request, in one sentence; nothing when it would have been allowed anyway. */
export function sparedWords(
  gates: readonly GateResult[],
  lifts: Lifts,
  routine: Verdict['authority'] | null,
): string[] {
  const groups = lifts.authority ? (routine?.required ?? []) : [];
  const approvals = groups.map(
    ({ group, roles, min_signatures }) =>
      `${min_signatures} ${min_signatures > 1 ? 'approvals' : 'approval'} by ${anyOf(roles)} (${group})`,
  );
  const lifted = gates.filter(({ result }) => result === 'lifted').map(({ id }) => `the gate ${id}`);
  const spared = [...approvals, ...lifted];
  return spared.length === 0 ? [] : [`Break-glass lifts ${spared.join(', ')}.`];
}

/** How long something may live that may be given under a session: no longer than that. In milliseconds. */
export function ttlUnder(ttl_ms: number, facts: { breakglass?: RecordedBreakglass; now_ms: number }): number {
  const { breakglass, now_ms } = facts;
  return breakglass === undefined ? ttl_ms : Math.min(ttl_ms, Date.parse(breakglass.until) - now_ms);
}
