import type { EngineState } from '../context.ts';
import type { AgeReport } from '../policy-age.ts';
import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** What is in force, and how far it has aged; null where no policy ever was. */
export function policySummary(state: EngineState | null): object | null {
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

/** A policy that is missing, does not load, or has had no news for long. */
export function policyHealth(facts: HealthFacts): Degraded[] {
  return [...missingPolicy(facts), ...agedPolicy(facts)];
}

function missingPolicy({ state }: HealthFacts): Degraded[] {
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

const AGE_EFFECTS = {
  warn: 'Nothing is decided otherwise yet.',
  escalate: 'What is not of the lowest risk needs an approval, even where the policy demands none.',
  deny: 'Everything but the lowest risk is denied.',
} as const;

function agedPolicy({ state, time }: HealthFacts): Degraded[] {
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
