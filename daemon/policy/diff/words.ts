import { canonicalText } from '../../formats/canonical-json.ts';
import type { Json } from '../../formats/json.ts';

/*
 * The words that sentences about changes are made of.
 */

/** `a, b and c`. */
export function listed(names: readonly string[], word = 'and'): string {
  if (names.length < 2) return names[0] ?? 'nobody';
  return `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`;
}

/** What only the second list has. */
export function added(before: readonly string[], after: readonly string[]): string[] {
  return after.filter((name) => !before.includes(name));
}

/** What only the first list has. */
export function removed(before: readonly string[], after: readonly string[]): string[] {
  return before.filter((name) => !after.includes(name));
}

/** Which roles gained or lost the right to do `what`. */
export function roleChanges(what: string, was: readonly string[] = [], is: readonly string[] = []): string[] {
  const more = added(was, is);
  const fewer = removed(was, is);
  return [
    ...(more.length === 0 ? [] : [`${listed(more)} may now ${what}.`]),
    ...(fewer.length === 0 ? [] : [`${listed(fewer)} may no longer ${what}.`]),
    ...(is.length === 0 && was.length > 0 ? [`Nobody may ${what} any more.`] : []),
  ];
}

/** True when two values have the same canonical JSON; absent is a value of its own. */
export function same(before: unknown, after: unknown): boolean {
  return json(before) === json(after);
}

/** Canonical JSON for comparing and showing; `nothing` for what is absent. */
export function json(value: unknown): string {
  return value === undefined ? 'nothing' : canonicalText(value as Json);
}

/** A rule's text in quotes, on one line. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** `now A (was B)`: the usual end of a sentence about one value. */
export function nowWas(is: unknown, was: unknown): string {
  return `now ${shown(is)} (was ${shown(was)})`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : json(value);
}

/** Where a rule applies: `install_firmware in production`, `every class in staging`, `everything`. */
export function scopeWords({
  classes,
  environments,
}: {
  classes?: string[];
  environments?: string[];
}): string {
  const any = (list: string[] | undefined) => list === undefined || list.length === 0;
  if (any(classes) && any(environments)) return 'everything';
  const what = any(classes) ? 'every class' : listed(classes ?? []);
  return any(environments) ? what : `${what} in ${listed(environments ?? [])}`;
}
