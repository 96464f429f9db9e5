import type { Bundle } from './bundle.ts';
import { durationMs } from './duration.ts';
import type { AuthorityGroup, GateResult, Verdict } from './verdict.ts';

/*
 * Freshness as policy (docs/decisions/0012): a bundle says how long it may be trusted without news from headquarters.
 */

/** How far a policy has aged, in the order in which it does. */
export const FRESHNESS_STEPS = ['fresh', 'warn', 'escalate', 'deny'] as const;
export type FreshnessStep = (typeof FRESHNESS_STEPS)[number];

/** The steps that change verdicts. */
export type StalePolicy = Extract<FreshnessStep, 'escalate' | 'deny'>;

/** Group of the approval that a stale policy demands, and gate of what it denies. */
const STALE_GROUP = 'stale-policy';
const STALE_GATE = 'policy.freshness';

/** When each step is reached: milliseconds since 1970. */
export type FreshnessSchedule = Readonly<Record<Exclude<FreshnessStep, 'fresh'>, number>>;

/**
 * When a bundle's freshness steps are reached. Counted from the newest signed word of headquarters: the issue time of
 * the bundle, or of the site's target (`site_issued_at`) when that is later, which says that the bundle still holds.
 */
export function freshnessSchedule(bundle: Bundle, site_issued_at: string | null): FreshnessSchedule {
  const { freshness } = bundle.metadata;
  const news = newsAt(bundle, site_issued_at);
  return {
    warn: news + durationMs(freshness.warn_after),
    escalate: news + durationMs(freshness.escalate_after),
    deny: news + durationMs(freshness.deny_after),
  };
}

/** When headquarters last said, signed, that the bundle holds: milliseconds since 1970. */
export function newsAt({ metadata }: Bundle, site_issued_at: string | null): number {
  return Math.max(Date.parse(metadata.issued_at), site_issued_at === null ? 0 : Date.parse(site_issued_at));
}

/** The step at an instant. */
export function stepAt(schedule: FreshnessSchedule, now_ms: number): FreshnessStep {
  if (now_ms >= schedule.deny) return 'deny';
  if (now_ms >= schedule.escalate) return 'escalate';
  return now_ms >= schedule.warn ? 'warn' : 'fresh';
}

/** The later of two steps. */
export function staler(a: FreshnessStep, b: FreshnessStep): FreshnessStep {
  return FRESHNESS_STEPS.indexOf(a) >= FRESHNESS_STEPS.indexOf(b) ? a : b;
}

/** The step as evaluation and entries know it: only where it changes verdicts. */
export function staleOf(step: FreshnessStep): StalePolicy | undefined {
  return step === 'escalate' || step === 'deny' ? step : undefined;
}

/**
 * What a stale policy does to a request: nothing at the lowest risk band of the bundle; above it, it demands a person's
 * approval (`escalate`) or denies (`deny`). A risk that could not be computed counts as a high one. Where no role in the
 * bundle could approve, `escalate` denies too.
 */
export function judgeStale(
  bundle: Bundle,
  step: StalePolicy,
  band: string | null,
): AuthorityGroup | GateResult | null {
  if (isLowestRisk(bundle, band)) return null;
  const { escalate_after, deny_after } = bundle.metadata.freshness;
  const roles = step === 'escalate' ? approvingRoles(bundle) : [];
  if (roles.length > 0) return { group: STALE_GROUP, roles, min_signatures: 1 };
  const after = step === 'deny' ? deny_after : escalate_after;
  const reason = `There was no news of this policy for longer than ${after}; until an update arrives, only the lowest risk is allowed.`;
  return { id: STALE_GATE, result: 'fail', reason };
}

/** Adds the group where nobody has to approve; where people approve anyway, that is authority enough. */
export function withGroup(
  authority: Verdict['authority'] | null,
  group: AuthorityGroup,
): Verdict['authority'] | null {
  if (authority === null || authority.required.length > 0) return authority;
  return { route: authority.route, required: [group] };
}

/** Whether a risk is of the lowest of several bands. A risk that could not be computed is not. */
export function isLowestRisk({ risk: { bands } }: Bundle, band: string | null): boolean {
  return bands.length > 1 && band === bands[0]?.band;
}

/** Every role that any route of the bundle lets approve. */
export function approvingRoles({ authority }: Bundle): string[] {
  const roles = authority.routes.flatMap(({ require }) => require.flatMap((group) => group.roles));
  return [...new Set(roles)].sort();
}
