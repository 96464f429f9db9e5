import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import type { Finding } from './finding.ts';

const RIGHTS = {
  summary: 'list or search what is recorded',
  raw: 'open payload values',
  export: 'take evidence away',
} as const;

/** Rights of reading that nobody active has: what they are for is out of reach until the next update. */
export function readingFindings({ reading, principals }: Bundle): Finding[] {
  if (reading === undefined) return [];
  const active = Object.values(principals).filter(({ status }) => status === 'active');
  return (Object.keys(RIGHTS) as (keyof typeof RIGHTS)[]).flatMap((right): Finding[] => {
    const roles = reading[right];
    // A list that is left out is meant: everybody for summaries, nobody for the rest.
    if (roles === undefined || active.some(({ roles: held }) => held.some((role) => roles.includes(role))))
      return [];
    return [
      {
        severity: 'warning',
        check: 'reading.nobody',
        pointer: pointerOf('reading', right),
        found: `no active principal holds ${roles.join(' or ')}, so nobody may ${RIGHTS[right]}`,
        write_instead: 'name a role that somebody active holds, or leave the list out',
      },
    ];
  });
}
