import { placeWords } from '../../core/breakglass.ts';
import type { EngineState } from '../context.ts';
import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** Break-glass is loud: every session that is open, and every review that is overdue. */
export function breakglassHealth({ state, time }: HealthFacts): Degraded[] {
  if (state === null) return [];
  const { breakglass } = state;
  const open = breakglass.openNow(time).map(({ id, scope, principal, activated_at, expires_at }) => ({
    component: 'breakglass' as const,
    cause: `the glass is broken: ${placeWords(scope)}, by ${principal}, until ${expires_at} (${id})`,
    since: activated_at,
    effect: `What ${scope.actor ?? 'anybody'} asks for exactly this is allowed without the approvals and gates that the policy lets it lift. Every such decision is marked.`,
    instruction: `End it as soon as it is not needed: holdfast breakglass end ${id} --key KEY`,
  }));
  const late = breakglass.unreviewed(time).filter(({ overdue }) => overdue);
  const overdue = late.map(({ id, due }) => ({
    component: 'breakglass' as const,
    cause: `nobody has reviewed the break-glass session ${id}`,
    since: iso(due),
    effect: 'The review is overdue; where the policy says so, nobody can break the glass again before it.',
    instruction: `Have somebody who did not open it look at it: holdfast breakglass review ${id} --note TEXT --key KEY`,
  }));
  return [...open, ...overdue];
}

/** What status says of break-glass in numbers and ids. */
export function breakglassSummary(state: EngineState | null, time: HealthFacts['time']): object | null {
  if (state === null) return null;
  const { breakglass } = state;
  const waiting = breakglass.unreviewed(time);
  return {
    open: breakglass.openNow(time).map(({ id }) => id),
    unreviewed: waiting.length,
    overdue: waiting.filter(({ overdue }) => overdue).length,
    unused_grants: breakglass.unusedGrants,
  };
}
