import type { Bundle } from '../../core/bundle.ts';
import { listed, roleChanges } from './words.ts';

/** Who may look at what is recorded, and take it away. */
export function readingChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before.reading ?? {}, after.reading ?? {}];
  return [
    ...summaryChanges(was.summary, is.summary),
    ...roleChanges('open payload values', was.raw, is.raw),
    ...roleChanges('take evidence away', was.export, is.export),
    ...roleChanges('open payload values under break-glass', was.breakglass?.roles, is.breakglass?.roles),
    ...(before.reading === undefined && after.reading !== undefined
      ? ['Lists and searches no longer show the values of payloads.']
      : []),
    ...(before.reading !== undefined && after.reading === undefined
      ? ['Lists and searches show the values of payloads again.']
      : []),
  ];
}

/** Here alone, no list means everybody. */
function summaryChanges(was: readonly string[] | undefined, is: readonly string[] | undefined): string[] {
  const what = 'list and search what is recorded';
  if (is === undefined) return was === undefined ? [] : [`Every observer may now ${what}.`];
  if (was === undefined) return [`Only ${listed([...is])} may now ${what}.`];
  return roleChanges(what, was, is);
}
