import type { Bundle, BundleBreakGlass } from '../../core/bundle.ts';
import { listed, nowWas, same, scopeWords } from './words.ts';

/** Who may break the glass, for what, what that lifts, and who looks at it afterwards. */
export function breakglassChanges({ breakglass: was }: Bundle, { breakglass: is }: Bundle): string[] {
  if (is === undefined) {
    return was === undefined ? [] : ['Nobody can break the glass any more; sessions that are open end.'];
  }
  if (was === undefined) return breakglassWords(is);
  const changes: string[] = [];
  const change = (before: unknown, after: unknown, sentence: string): void => {
    if (!same(before, after)) changes.push(sentence);
  };
  change(
    was.roles,
    is.roles,
    `The glass may be broken by ${nowWas(listed(is.roles, 'or'), listed(was.roles, 'or'))}.`,
  );
  change(was.covers, is.covers, `The glass may be broken for ${nowWas(coverWords(is), coverWords(was))}.`);
  change(was.max_ttl, is.max_ttl, `A break-glass session lasts at most ${nowWas(is.max_ttl, was.max_ttl)}.`);
  change(
    was.max_open ?? 1,
    is.max_open ?? 1,
    `Open break-glass sessions at a time: ${nowWas(is.max_open ?? 1, was.max_open ?? 1)}.`,
  );
  change(was.lifts, is.lifts, `Break-glass lifts ${nowWas(liftWords(is), liftWords(was))}.`);
  change(
    was.reason,
    is.reason,
    `The reason of a break-glass must say ${nowWas(reasonWords(is), reasonWords(was))}.`,
  );
  change(
    was.review,
    is.review,
    `A break-glass session is reviewed by ${nowWas(reviewWords(is), reviewWords(was))}.`,
  );
  change(was.grants, is.grants, `Sealed grants: ${nowWas(grantWords(is), grantWords(was))}.`);
  return changes;
}

/** The whole section, one sentence each. */
export function breakglassWords(is: BundleBreakGlass): string[] {
  return [
    `${listed(is.roles, 'or')} can break the glass for ${coverWords(is)}, for ${is.max_ttl} at most, ${is.max_open ?? 1} at a time.`,
    `Break-glass lifts ${liftWords(is)}; the reason must say ${reasonWords(is)}.`,
    `Afterwards it is reviewed by ${reviewWords(is)}.`,
    `Sealed grants: ${grantWords(is)}.`,
  ];
}

function coverWords({ covers }: BundleBreakGlass): string {
  return covers
    .map((cover) => {
      const targets = cover.targets ?? [];
      return `${scopeWords(cover)}${targets.length === 0 ? '' : ` on ${listed(targets, 'or')}`}`;
    })
    .join('; ');
}

function liftWords({ lifts }: BundleBreakGlass): string {
  const gates = (lifts.gates ?? []).map((id) => `the gate ${id}`);
  return listed([...(lifts.authority ? ['all approvals'] : []), ...gates]);
}

function reasonWords({ reason = {} }: BundleBreakGlass): string {
  const fields = Object.entries(reason).map(([name, rule]) => {
    const form = [
      rule.pattern ?? '',
      rule.max_length === undefined ? '' : `up to ${rule.max_length} characters`,
    ];
    const shape = form.filter((part) => part !== '').join(', ');
    const optional = rule.required === false ? ' if known' : '';
    return `${name}${optional} (${[rule.description, shape].filter((part) => part !== '').join(' ')})`;
  });
  return fields.length === 0 ? 'what it likes' : listed(fields);
}

function reviewWords({ review }: BundleBreakGlass): string {
  const late = review.overdue === 'block_next' ? 'nobody breaks the glass again' : 'status says so';
  return `${listed(review.roles, 'or')} within ${review.within}, else ${late}`;
}

function grantWords({ grants }: BundleBreakGlass): string {
  if (grants === undefined) return 'none';
  return `issued by ${listed(grants.roles, 'or')}, good for ${grants.max_validity}, at most ${grants.max_unused ?? 10} unused`;
}
