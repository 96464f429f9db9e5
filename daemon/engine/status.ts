import { VERSION } from '../host/version.ts';
import { anomalySummary } from './anomalies.ts';
import { backupSummary } from './backups.ts';
import { anchorHealth, anchorSummary } from './health/anchors.ts';
import { breakglassHealth, breakglassSummary } from './health/breakglass.ts';
import { diskHealth } from './health/disk.ts';
import { type HealthFacts, iso } from './health/facts.ts';
import { formerLogsHealth } from './health/former-logs.ts';
import { identityHealth } from './health/identity.ts';
import { incidentHealth, incidentSummary } from './health/incidents.ts';
import { keysHealth, keysSummary } from './health/keys.ts';
import { ledgerHealth } from './health/ledger.ts';
import { policyHealth, policySummary } from './health/policy.ts';
import { secretsHealth, secretsSummary } from './health/secrets.ts';
import { allowsDoubt, timeHealth, timeSummary } from './health/time.ts';
import { cosignedSummary } from './methods/cosign.ts';
import { heldBrief } from './methods/hold.ts';

/** `status.get`: is it deciding, what waits, what is degraded and what to do. `ready` is false when it cannot allow. */
export function engineStatus(facts: HealthFacts): object {
  const { state, trouble, site, profile, startedAt, time } = facts;
  const degraded = [
    ...incidentHealth(facts),
    ...ledgerHealth(facts),
    ...diskHealth(facts.disk),
    ...policyHealth(facts),
    ...identityHealth(facts),
    ...timeHealth(facts),
    ...breakglassHealth(facts),
    ...keysHealth(facts),
    ...secretsHealth(facts),
    ...formerLogsHealth(facts),
    ...anchorHealth(facts),
  ];
  const ready =
    state !== null &&
    trouble === null &&
    state.policies.anyActive() !== null &&
    mayAllow(facts) &&
    allowsDoubt(facts);
  return {
    site,
    profile,
    version: VERSION,
    ready,
    started_at: iso(startedAt),
    now: iso(time.now),
    time: timeSummary(time),
    ledger: {
      write_state: trouble === null ? 'ok' : 'unavailable',
      size: state?.ledger.size ?? null,
      checkpoint: state?.ledger.checkpoint() ?? null,
    },
    peers: state?.peers.summary() ?? null,
    policy: policySummary(state),
    held_update: heldBrief(state, time),
    decisions: state?.projections.counts() ?? null,
    incidents: incidentSummary(state),
    witnesses: state === null ? null : cosignedSummary(state),
    disk: facts.disk,
    breakglass: breakglassSummary(state, time),
    backup: backupSummary(state),
    anchors: anchorSummary(state),
    anomalies: anomalySummary(state, time.now),
    keys: keysSummary(facts),
    secrets: secretsSummary(facts),
    degraded,
  };
}

/** A halted site and a full disk allow nothing, however well everything else is. */
function mayAllow({ state, disk }: HealthFacts): boolean {
  return disk.level === 'ok' && state?.halts.stopFor(null, null) === null;
}
