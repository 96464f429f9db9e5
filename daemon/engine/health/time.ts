import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** A clock that nobody believes. */
export function timeHealth({ time }: HealthFacts): Degraded[] {
  if (time.trust !== 'uncertain') return [];
  return [
    {
      component: 'time',
      cause: `the clock says ${iso(time.now)}, but it is at least ${iso(time.floor)}, or it jumped`,
      since: null,
      effect: 'Approvals are rejected, nothing expires, and classes that need the time are queued or denied.',
      instruction:
        'Set the clock to the right time (timedatectl set-time). Where it was wrong before and is right now, restart the daemon, so that it starts from there.',
    },
  ];
}
