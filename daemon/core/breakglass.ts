import type { BreakglassPlace, BreakglassScope } from '../formats/breakglass-scope.ts';
import type { Bundle, BundleBreakGlass } from './bundle.ts';
import { durationMs } from './duration.ts';
import { coversPlace } from './lift.ts';
import { compilePattern } from './pattern.ts';
import { type Refusal, refuse } from './refusal.ts';
import type { DecisionRequest } from './request.ts';
import { recordableText } from './scrub.ts';

/** Longest field of a structured reason, and sessions open at a time, unless the policy says otherwise. */
export const REASON_MAX_LENGTH = 500;
export const MAX_OPEN = 1;
export const MAX_UNUSED_GRANTS = 10;

/** Whether a policy lets the glass be broken for a place at all, whoever signs and whatever the reason. */
export function judgePlace(
  bundle: Pick<Bundle, 'actions' | 'principals' | 'breakglass'>,
  place: BreakglassPlace,
): BundleBreakGlass | Refusal {
  const { breakglass } = bundle;
  if (breakglass === undefined) {
    return refuse(
      'breakglass.not_in_policy',
      'The policy in force has no break-glass. Nothing was opened; ask for a decision and have it approved.',
    );
  }
  const action = Object.hasOwn(bundle.actions, place.class) ? bundle.actions[place.class] : undefined;
  if (action?.target.type !== place.target.type || !coversPlace(breakglass, place)) {
    return refuse(
      'breakglass.not_covered',
      `The policy does not let the glass be broken for ${placeWords(place)}. Nothing was opened; compare class, target and environment, word for word.`,
    );
  }
  if (place.actor !== null && !Object.hasOwn(bundle.principals, place.actor)) {
    return refuse(
      'breakglass.not_covered',
      `The policy knows no principal ${place.actor}, so nobody could ask under it. Nothing was opened.`,
    );
  }
  const longest = durationMs(breakglass.max_ttl) / 1_000;
  if (place.ttl_seconds > longest) {
    return refuse(
      'breakglass.ttl_too_long',
      `${place.ttl_seconds} s is longer than the ${breakglass.max_ttl} that the policy allows. Nothing was opened; sign a shorter one.`,
    );
  }
  return breakglass;
}

/** The same for a whole scope: the reason says what the policy's template asks for, and nothing else. */
export function judgeScope(bundle: Bundle, scope: BreakglassScope): BundleBreakGlass | Refusal {
  const section = judgePlace(bundle, scope);
  if ('refused' in section) return section;
  return judgeReason(section, scope.reason) ?? section;
}

/** Why a structured reason will not do; null when it does. Says no value. */
export function judgeReason(section: BundleBreakGlass, reason: Record<string, string>): Refusal | null {
  const template = new Map(Object.entries(section.reason ?? {}));
  const wrong = (field: string, what: string) =>
    refuse(
      'breakglass.reason',
      `The reason's field "${field}" ${what}. The glass was not broken; "holdfast policy show" tells what a reason must say.`,
    );
  for (const [field, text] of Object.entries(reason)) {
    const rule = template.get(field);
    if (rule === undefined) {
      return wrong(
        field,
        `is not one that the policy asks for (${[...template.keys()].join(', ') || 'it asks for none'})`,
      );
    }
    const longest = rule.max_length ?? REASON_MAX_LENGTH;
    if (text.length > longest) return wrong(field, `is longer than ${longest} characters`);
    if (rule.pattern !== undefined && !compilePattern(rule.pattern, longest).matchesWhole(text)) {
      return wrong(field, `does not match ${rule.pattern} (${rule.description})`);
    }
    if (recordableText(text) !== text) return wrong(field, 'looks like it holds a secret');
  }
  for (const [field, { required, description }] of template) {
    if (required !== false && !Object.hasOwn(reason, field))
      return wrong(field, `is missing (${description})`);
  }
  return null;
}

/** Whether a session was opened for exactly this: class, target, environment and, where it names one, actor. */
export function inScope(
  scope: BreakglassPlace,
  { action, context }: Pick<DecisionRequest, 'action' | 'context'>,
  environment: string,
): boolean {
  return (
    scope.class === action.class &&
    scope.environment === environment &&
    scope.target.type === action.target?.type &&
    scope.target.id === action.target.id &&
    (scope.actor === null || scope.actor === context.actor.id)
  );
}

/** `restart_service on service:relay-2 in production`. */
export function placeWords({ class: name, target, environment }: BreakglassPlace): string {
  return `${name} on ${target.type}:${target.id} in ${environment}`;
}
