import type { Bundle } from './bundle.ts';
import type { BundleAnchoring } from './bundle-anchoring.ts';
import { durationMs } from './duration.ts';
import { approvingRoles, type FreshnessSchedule, isLowestRisk, type StalePolicy } from './freshness.ts';
import type { AuthorityGroup, GateResult } from './verdict.ts';

/*
 * Anchors as policy (docs/decisions/0029): a bundle says how long a site may decide without its history being known
 * elsewhere. The steps are those of freshness.
 */

/** Group of the approval that an overdue anchor demands, and gate of what it denies. */
const OVERDUE_GROUP = 'anchor-overdue';
const OVERDUE_GATE = 'anchor.overdue';

/** When the steps are reached, counted from when the newest anchor that counts was made: milliseconds since 1970. */
export function anchoringSchedule(section: BundleAnchoring, since: number): FreshnessSchedule {
  return {
    warn: since + durationMs(section.warn_after),
    escalate: since + durationMs(section.escalate_after),
    deny: since + durationMs(section.deny_after),
  };
}

/**
 * What an overdue anchor does to a request that the policy holds back for it: demand a person's approval (`escalate`), or
 * deny (`deny`); `escalate` denies too where no role in the bundle could approve. Null where nothing is demanded.
 */
export function judgeAnchoring(
  bundle: Bundle,
  step: StalePolicy,
  actionClass: string,
  band: string | null,
): AuthorityGroup | GateResult | null {
  const { anchoring } = bundle;
  if (anchoring === undefined || !isHeldBack(bundle, anchoring, actionClass, band)) return null;
  const { counts = 'made', escalate_after, deny_after } = anchoring;
  const roles = step === 'escalate' ? approvingRoles(bundle) : [];
  if (roles.length > 0) return { group: OVERDUE_GROUP, roles, min_signatures: 1 };
  const after = step === 'deny' ? deny_after : escalate_after;
  const what =
    counts === 'left' ? 'No anchor of this ledger has left the site' : 'No anchor of this ledger was made';
  return {
    id: OVERDUE_GATE,
    result: 'fail',
    reason: `${what} for longer than ${after}; until one does, the policy holds this back.`,
  };
}

function isHeldBack(
  bundle: Bundle,
  { classes }: BundleAnchoring,
  actionClass: string,
  band: string | null,
): boolean {
  return classes === undefined ? !isLowestRisk(bundle, band) : classes.includes(actionClass);
}
