import { VERSION } from '../host/version.ts';
import { breakglassHealth, breakglassSummary } from './health/breakglass.ts';
import { type HealthFacts, iso } from './health/facts.ts';
import { identityHealth } from './health/identity.ts';
import { ledgerHealth } from './health/ledger.ts';
import { policyHealth, policySummary } from './health/policy.ts';
import { timeHealth } from './health/time.ts';

/** `status.get`: is it deciding, what waits, what is degraded and what to do. `ready` is false when it cannot allow. */
export function engineStatus(facts: HealthFacts): object {
  const { state, trouble, site, profile, startedAt, time } = facts;
  const degraded = [
    ...ledgerHealth(facts),
    ...policyHealth(facts),
    ...identityHealth(facts),
    ...timeHealth(facts),
    ...breakglassHealth(facts),
  ];
  const ready = state !== null && trouble === null && state.policies.anyActive() !== null;
  return {
    site,
    profile,
    version: VERSION,
    ready,
    started_at: iso(startedAt),
    now: iso(time.now),
    time: { trust: time.trust, floor: iso(time.floor) },
    ledger: {
      write_state: trouble === null ? 'ok' : 'unavailable',
      size: state?.ledger.size ?? null,
      checkpoint: state?.ledger.checkpoint() ?? null,
    },
    peers: state?.peers.summary() ?? null,
    policy: policySummary(state),
    decisions: state?.projections.counts() ?? null,
    breakglass: breakglassSummary(state, time),
    degraded,
  };
}
