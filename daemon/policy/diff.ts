import type { Bundle } from '../core/bundle.ts';
import { actionChanges } from './diff/actions.ts';
import { activationChanges } from './diff/activation.ts';
import { anchoringChanges } from './diff/anchoring.ts';
import { anomalyChanges } from './diff/anomalies.ts';
import { approvalChanges } from './diff/approvals.ts';
import { authorityChanges, reachChanges } from './diff/authority.ts';
import { breakglassChanges } from './diff/breakglass.ts';
import { headquartersChanges } from './diff/headquarters.ts';
import { incidentChanges } from './diff/incidents.ts';
import { peopleChanges } from './diff/people.ts';
import { privacyChanges } from './diff/privacy.ts';
import { readingChanges } from './diff/reading.ts';
import { retentionChanges } from './diff/retention.ts';
import { gateChanges, riskChanges } from './diff/rules.ts';
import { timeChanges } from './diff/time.ts';
import { wordingChanges } from './diff/wording.ts';
import { added, listed, quoted, removed, same } from './diff/words.ts';

/** Stands for "no policy": everything is denied, nobody is known. */
const NOTHING: Bundle = {
  schema: 'holdfast/bundle/v1',
  metadata: {
    name: 'none',
    version: 1,
    description: 'none',
    issued_at: '1970-01-01T00:00:00Z',
    sites: [],
    freshness: { warn_after: '1s', escalate_after: '2s', deny_after: '3s' },
  },
  environments: {},
  actions: {},
  tools: {},
  gates: [],
  risk: { factors: [], bands: [{ band: 'none', below: 2 }] },
  authority: { routes: [] },
  principals: {},
};

/**
 * What changes for people when `after` takes the place of `before` (null: no policy, everything was denied), one sentence
 * each, in the order: where it runs, what may be asked for, what is checked, how risk is counted, who must approve, who
 * counts. Both bundles must have compiled. Empty when nothing but version and issue time differs.
 */
export function describeChanges(before: Bundle | null, after: Bundle): string[] {
  const old = before ?? NOTHING;
  return [
    ...(before === null ? ['There was no policy before: everything was denied.'] : []),
    ...placeChanges(old, after),
    ...actionChanges(old, after),
    ...gateChanges(old, after),
    ...riskChanges(old, after),
    ...reachChanges(old, after),
    ...authorityChanges(old, after),
    ...peopleChanges(old, after),
    ...approvalChanges(old, after),
    ...anomalyChanges(old, after),
    ...activationChanges(old, after),
    ...incidentChanges(old, after),
    ...readingChanges(old, after),
    ...privacyChanges(old, after),
    ...breakglassChanges(old, after),
    ...timeChanges(old, after),
    ...headquartersChanges(old, after),
    ...retentionChanges(old, after),
    ...anchoringChanges(old, after),
    ...limitChanges(old, after),
    ...(before === null ? [] : [...orderChange(old, after), ...wordingChanges(old, after)]),
  ];
}

function placeChanges(before: Bundle, after: Bundle): string[] {
  const changes: string[] = [];
  if (before !== NOTHING && before.metadata.name !== after.metadata.name) {
    changes.push(`It is another policy: ${after.metadata.name} in place of ${before.metadata.name}.`);
  }
  const sites = added(before.metadata.sites, after.metadata.sites);
  const gone = removed(before.metadata.sites, after.metadata.sites);
  if (sites.length > 0) changes.push(`It may be run by ${listed(sites)}.`);
  if (gone.length > 0) changes.push(`It may no longer be run by ${listed(gone)}.`);
  const known = Object.keys(before.environments);
  const names = Object.keys(after.environments);
  for (const name of added(known, names)) changes.push(`The environment ${name} is now known.`);
  for (const name of removed(known, names)) {
    changes.push(`The environment ${name} is no longer known: every request for it is denied.`);
  }
  return [...changes, ...freshnessChanges(before, after)];
}

function freshnessChanges(before: Bundle, after: Bundle): string[] {
  const words = {
    warn_after: 'people are warned that the policy is old',
    escalate_after: 'the old policy demands approval for everything but low risk',
    deny_after: 'the old policy denies everything but low risk',
  } as const;
  const steps = Object.keys(words) as (keyof typeof words)[];
  return steps.flatMap((step) => {
    const [was, is] = [before.metadata.freshness[step], after.metadata.freshness[step]];
    if (was === is) return [];
    const instead = before === NOTHING ? '' : ` instead of ${was}`;
    return [`After ${is}${instead} without news, ${words[step]}.`];
  });
}

const LIMIT_WORDS = {
  requests_per_second: 'requests per second of one actor',
  pending_per_actor: 'pending decisions of one actor',
  approvals_per_decision: 'approvals submitted to one decision',
} as const;

function limitChanges(before: Bundle, after: Bundle): string[] {
  const changes: string[] = [];
  for (const limit of Object.keys(LIMIT_WORDS) as (keyof typeof LIMIT_WORDS)[]) {
    const [was, is] = [before.limits?.[limit], after.limits?.[limit]];
    if (was === is) continue;
    changes.push(
      `The limit of ${LIMIT_WORDS[limit]} is now ${is ?? 'the default'} (was ${was ?? 'the default'}).`,
    );
  }
  const labels = [before.labels ?? [], after.labels ?? []] as const;
  for (const label of added(...labels)) changes.push(`Requests may now carry the label ${label}.`);
  for (const label of removed(...labels)) {
    changes.push(`Requests may no longer carry the label ${label}: those that do are denied.`);
  }
  return [...changes, ...secretChanges(before, after)];
}

function secretChanges(before: Bundle, after: Bundle): string[] {
  const was = new Map((before.secrets?.patterns ?? []).map(({ id, pattern }) => [id, pattern]));
  const is = new Map((after.secrets?.patterns ?? []).map(({ id, pattern }) => [id, pattern]));
  return [
    ...[...is].flatMap(([id, pattern]) => {
      const old = was.get(id);
      if (old === undefined)
        return [`Text that matches the secret pattern ${id} (${pattern}) is now refused.`];
      return old === pattern
        ? []
        : [`The secret pattern ${id} is now ${quoted(pattern)} instead of ${quoted(old)}.`];
    }),
    ...[...was.keys()]
      .filter((id) => !is.has(id))
      .map((id) => `Text that matches the secret pattern ${id} is no longer refused.`),
  ];
}

/** Gates are listed and reasons are given in the order of the bundle; nothing else depends on it. */
function orderChange(before: Bundle, after: Bundle): string[] {
  const orders = (bundle: Bundle) => [
    bundle.gates.map(({ id }) => id),
    bundle.risk.factors.map(({ id }) => id),
    bundle.authority.routes.map(({ id }) => id),
  ];
  const kept = (ids: string[], others: string[]) => ids.filter((id) => others.includes(id));
  const [was, is] = [orders(before), orders(after)];
  const moved = was.some((ids, index) => {
    const others = is[index] ?? [];
    return !same(kept(ids, others), kept(others, ids));
  });
  return moved ? ['Rules stand in another order, which changes the order of reasons, not the result.'] : [];
}
