import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import type { Finding } from './finding.ts';

/** A halt that nobody at the site could end. */
export function incidentFindings({ incidents, principals }: Bundle): Finding[] {
  const roles = incidents?.resume_roles ?? [];
  const able = Object.entries(principals).filter(
    ([, { kind, status, keys, roles: held }]) =>
      kind === 'human' &&
      status === 'active' &&
      (keys ?? []).some((key) => (key.status ?? 'active') === 'active') &&
      held.some((role) => roles.includes(role)),
  );
  if (able.length > 0) return [];
  return [
    {
      severity: 'warning',
      check: 'incidents.nobody_resumes',
      pointer: pointerOf('incidents', 'resume_roles'),
      found:
        roles.length === 0
          ? 'nobody may let a halted site go on'
          : `no active person with a key holds ${roles.join(' or ')}, who may let a halted site go on`,
      write_instead:
        'name a role that a person with a key holds; until then only a policy update ends a halt',
    },
  ];
}
