import { anyOf } from '../../core/authority.ts';
import type { Bundle } from '../../core/bundle.ts';
import type { AnomalyRule } from '../../core/bundle-anomalies.ts';
import { same } from './words.ts';

/** What is out of the ordinary about approvals, and what follows from it. */
export function anomalyChanges(before: Bundle, after: Bundle): string[] {
  const was = new Map((before.anomalies ?? []).map((rule) => [rule.id, rule]));
  const is = new Map((after.anomalies ?? []).map((rule) => [rule.id, rule]));
  return [
    ...[...is.values()].flatMap((rule) => {
      const old = was.get(rule.id);
      if (old === undefined) return [`New rule ${rule.id}: ${words(rule)}.`];
      return same(old, rule) ? [] : [`Rule ${rule.id} is now: ${words(rule)} (was: ${words(old)}).`];
    }),
    ...[...was.values()]
      .filter(({ id }) => !is.has(id))
      .map((rule) => `Rule ${rule.id} is gone: ${words(rule)}.`),
  ];
}

function words(rule: AnomalyRule): string {
  return `${trigger(rule)}${scope(rule)} ${effect(rule)}, and is announced once per ${rule.quiet ?? '1h'}`;
}

function trigger(rule: AnomalyRule): string {
  switch (rule.watch) {
    case 'burst':
      return `more than ${rule.more_than} approvals by one person within ${rule.within}`;
    case 'quick':
      return `an approval sooner than ${rule.at_least} after the decision was made`;
    case 'off_hours': {
      const { hours, utc_offset, days } = rule;
      return `an approval outside of ${hours.from}–${hours.to} (UTC${utc_offset}${days === undefined ? '' : `, ${days.join(' ')}`})`;
    }
    case 'overrides':
      return `overrides above ${rule.above} of all decisions within ${rule.within}, from ${rule.at_least ?? 3} on,`;
  }
}

function scope({ classes = [], environments = [] }: AnomalyRule): string {
  const parts = [
    ...(classes.length === 0 ? [] : [`for ${classes.join(', ')}`]),
    ...(environments.length === 0 ? [] : [`in ${environments.join(', ')}`]),
  ];
  return parts.length === 0 ? '' : ` ${parts.join(' ')}`;
}

function effect({ effect: kind, escalate_to }: AnomalyRule): string {
  if (kind === 'reject') return 'does not count';
  if (kind === 'record' || escalate_to === undefined) return 'is recorded';
  const { roles, min_signatures } = escalate_to;
  return `demands ${min_signatures} more ${min_signatures > 1 ? 'signatures' : 'signature'} by ${anyOf(roles)}`;
}
