import type { TimeTrust } from '../formats/entry.ts';
import type { Profile } from '../host/site.ts';
import { VERSION } from '../host/version.ts';
import type { EngineState } from './context.ts';
import type { AgeReport } from './policy-age.ts';

/** Why the ledger cannot be written at the moment. */
export interface LedgerTrouble {
  since: number;
  cause: string;
}

/** One thing that is wrong, what it does to decisions, and what a person can do about it. */
export interface Degraded {
  component: 'ledger' | 'policy' | 'time' | 'gateway';
  cause: string;
  since: string | null;
  effect: string;
  instruction: string;
}

interface Facts {
  state: EngineState | null;
  trouble: LedgerTrouble | null;
  site: string;
  profile: Profile;
  startedAt: number;
  time: { now: number; trust: TimeTrust; floor: number };
}

/** `status.get`: is it deciding, what waits, what is degraded and what to do. `ready` is false when it cannot allow. */
export function engineStatus(facts: Facts): object {
  const { state, trouble, site, profile, startedAt, time } = facts;
  const degraded = [
    ...ledgerTrouble(trouble),
    ...policyTrouble(facts),
    ...ageTrouble(facts),
    ...timeTrouble(time),
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
    degraded,
  };
}

function policySummary(state: EngineState | null): object | null {
  const applied = state?.policies.applied ?? null;
  if (state === null || applied === null) return null;
  const ages = new Map(state.policies.age.report().map((age) => [age.environment, age]));
  return {
    update_id: applied.update_id,
    serial: applied.site_target.serial,
    environments: Object.entries(applied.environments).map(([environment, pinned]) => ({
      environment,
      version: `${pinned.name}@${pinned.version}`,
      digest: pinned.digest,
      issued_at: state.policies.active(environment)?.compiled.bundle.metadata.issued_at ?? null,
      freshness: freshnessOf(ages.get(environment)),
    })),
  };
}

/** The countdown: how far the policy has aged, and when it ages further without news. */
function freshnessOf(age: AgeReport | undefined): object | null {
  if (age === undefined) return null;
  const { step, news_at, next } = age;
  return { step, news_at: iso(news_at), next: next === null ? null : { step: next.step, at: iso(next.at) } };
}

const AGE_EFFECTS = {
  warn: 'Nothing is decided otherwise yet.',
  escalate: 'What is not of the lowest risk needs an approval, even where the policy demands none.',
  deny: 'Everything but the lowest risk is denied.',
} as const;

function ageTrouble({ state, time }: Facts): Degraded[] {
  const at = time.trust === 'uncertain' ? time.floor : time.now;
  return (state?.policies.age.report() ?? []).flatMap(({ environment, step, news_at, next }) => {
    if (step === 'fresh') return [];
    const days = Math.floor((at - news_at) / 86_400_000);
    const then = next === null ? '' : ` Next: ${next.step}, at ${iso(next.at)}.`;
    return [
      {
        component: 'policy' as const,
        cause: `there was no news of the policy of ${environment} from headquarters for ${days} days (${step})`,
        since: iso(news_at),
        effect: `${AGE_EFFECTS[step]}${then}`,
        instruction: 'Bring in a newer signed update, over the link or on a medium ("holdfast import PATH").',
      },
    ];
  });
}

function ledgerTrouble(trouble: LedgerTrouble | null): Degraded[] {
  if (trouble === null) return [];
  return [
    {
      component: 'ledger',
      cause: trouble.cause,
      since: iso(trouble.since),
      effect: 'Nothing can be recorded, so every request is denied.',
      instruction: ledgerInstruction(trouble.cause),
    },
  ];
}

/** What a person can do about a ledger that cannot be written, by SQLite's or our own code. */
export function ledgerInstruction(cause: string): string {
  if (cause === 'SQLITE_FULL') {
    return 'The disk that holds the site is full. Free space on it; the daemon goes on by itself within a second or two.';
  }
  if (cause.startsWith('SQLITE_IOERR')) {
    return 'The disk reports errors. Check it (dmesg), copy the site directory elsewhere, then replace the disk.';
  }
  return 'Look into the daemon\'s log, run "holdfast ledger verify", and restart the daemon.';
}

function policyTrouble({ state }: Facts): Degraded[] {
  if (state === null) return [];
  if (state.policies.applied === null) {
    return [
      {
        component: 'policy',
        cause: 'no policy was ever imported',
        since: null,
        effect: 'Every request is denied.',
        instruction: 'Bring a signed policy repository and run "holdfast import PATH".',
      },
    ];
  }
  return [...state.policies.failures].map(([environment, cause]) => ({
    component: 'policy' as const,
    cause,
    since: null,
    effect: `Every request for ${environment} is denied.`,
    instruction: 'Import the policy again from its medium ("holdfast import PATH").',
  }));
}

function timeTrouble(time: Facts['time']): Degraded[] {
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

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
