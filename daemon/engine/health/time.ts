import type { Doubt } from '../../core/time-ladder.ts';
import type { EngineState } from '../context.ts';
import type { TimeReport } from '../time.ts';
import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** What status says about the time. */
export function timeSummary(time: TimeReport): object {
  return {
    trust: time.trust,
    cause: time.doubt ?? time.grounds,
    settling: time.settling,
    since: time.since === null ? null : iso(time.since),
    floor: iso(time.floor),
    at_least: iso(time.at_least),
    expected: time.expected === null ? null : iso(time.expected),
  };
}

/** A clock that nobody believes. */
export function timeHealth({ time, state }: HealthFacts): Degraded[] {
  if (time.doubt === null) return [];
  return [
    {
      component: 'time',
      cause: time.settling ? SETTLING : CAUSES[time.doubt](time),
      since: time.since === null ? null : iso(time.since),
      effect: EFFECT,
      instruction: time.settling ? 'Wait a few seconds.' : instructionFor(time, state),
    },
  ];
}

/** Whether uncertain time lets anything through: some class of a policy in force says "allow". */
export function allowsDoubt({ time, state }: HealthFacts): boolean {
  if (time.doubt === null) return true;
  const policies = state?.policies.inForce() ?? [];
  return policies.some(({ compiled: { bundle } }) =>
    Object.values(bundle.actions).some(({ time_uncertain }) => time_uncertain === 'allow'),
  );
}

const CAUSES: Record<Doubt, (time: TimeReport) => string> = {
  behind_floor: ({ now, floor }) => `the clock says ${iso(now)}, but it is at least ${iso(floor)}`,
  jumped: ({ now, expected }) =>
    `somebody set the clock: it says ${iso(now)}, where it would have come to ${iso(expected ?? now)} by itself`,
  contradicted: ({ now, outside, monotonic }) =>
    `the clock says ${iso(now)}, but by a signed word from outside it is ${iso((outside?.at ?? 0) + monotonic - (outside?.monotonic ?? 0))}`,
};

const SETTLING =
  'the clock was wrong; it is right again, and believed once it has stayed so for some seconds';

const EFFECT =
  'Approvals are rejected. Action classes are queued or denied, as the policy says for each (time_uncertain). What was granted before the machine was last started cannot be used; what was granted since runs out as it was meant to.';

/** What a person can do about it. */
function instructionFor({ doubt, expected }: TimeReport, state: EngineState | null): string {
  const set = 'set the clock to the right time (as root: date -u -s "YYYY-MM-DD hh:mm:ss")';
  const roles = state?.policies.forSite()?.compiled.bundle.time?.state_roles;
  const stated =
    roles === undefined
      ? 'The policy lets nobody state the time'
      : `have ${roles.join(' or ')} sign what time it is (holdfast time state --key KEY --now TIME)`;
  if (doubt === 'jumped') {
    const back = `If the clock was right before, set it back: it would be ${iso(expected ?? 0)} by now.`;
    const otherwise = roles === undefined ? `${stated}, so start the machine again.` : `${stated}.`;
    return `${back} If it is right now: ${otherwise}`;
  }
  const then =
    doubt === 'contradicted'
      ? 'it is trusted as soon as it is right'
      : 'it is believed as soon as it is right';
  const more = doubt === 'behind_floor' && roles !== undefined ? ` To have it trusted, ${stated}.` : '';
  return `Somebody must ${set}; ${then}.${more}`;
}
