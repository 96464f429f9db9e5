import { anyOf } from '../../core/authority.ts';
import type { Bundle } from '../../core/bundle.ts';
import { same } from './words.ts';

const WHAT = {
  withhold_roles: 'keep sensitive values from being shown',
  shred_roles: 'destroy sensitive values of decisions',
} as const;

/** Who may withhold and destroy sensitive values. */
export function privacyChanges({ privacy: before }: Bundle, { privacy: after }: Bundle): string[] {
  return (Object.keys(WHAT) as (keyof typeof WHAT)[]).flatMap((member) => {
    const [was, is] = [before?.[member], after?.[member]];
    if (same(was, is)) return [];
    if (is === undefined) return [`Nobody may ${WHAT[member]} any more.`];
    const instead = was === undefined ? '' : ` (was: ${anyOf(was)})`;
    return [`${anyOf(is)} may now ${WHAT[member]}${instead}.`];
  });
}
