import { type Degraded, type HealthFacts, iso } from './facts.ts';

const DAY_MS = 86_400_000;

/** What status says of the key that signs the ledger. */
export function keysSummary({ state, time }: HealthFacts): object | null {
  const report = state?.keys.report() ?? null;
  if (state === null || report === null) return null;
  const { vkey, since, keys } = report;
  return {
    ledger: vkey.slice(0, vkey.lastIndexOf('+')),
    since: since === null ? null : iso(since),
    age_days: since === null ? null : Math.max(0, Math.floor((time.now - since) / DAY_MS)),
    max_age_days: state.keys.maxAgeMs === null ? null : state.keys.maxAgeMs / DAY_MS,
    earlier: keys.length - 1,
  };
}

/** A key that is older than it may get. What it signs counts all the same. */
export function keysHealth({ state, time }: HealthFacts): Degraded[] {
  const now = time.trust === 'uncertain' ? time.floor : time.now;
  const since = state?.keys.report()?.since ?? null;
  if (state === null || since === null || !state.keys.isDue(now)) return [];
  const days = Math.floor((now - since) / DAY_MS);
  return [
    {
      component: 'keys',
      cause: `the ledger key has been in use for ${days} days, which is more than it should (keys.ledger_max_age)`,
      since: iso(since),
      effect: 'Nothing is decided otherwise.',
      instruction:
        'Rotate it: holdfast keys rotate ledger. Then give auditors and headquarters a new trust file: holdfast site export-trust FILE',
    },
  ];
}
