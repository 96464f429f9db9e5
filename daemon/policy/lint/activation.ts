import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import type { Finding } from './finding.ts';

/**
 * `activation.unsatisfiable`: updates that this policy would hold for more people than its roster has. The site could not
 * be updated any more.
 */
export function activationFindings({ activation, principals }: Bundle): Finding[] {
  if (activation === undefined) return [];
  const { roles, min_signatures } = activation.hold;
  const able = Object.values(principals).filter(
    ({ kind, status, keys = [], roles: held }) =>
      kind === 'human' &&
      status === 'active' &&
      keys.some((key) => (key.status ?? 'active') === 'active') &&
      held.some((role) => roles.includes(role)),
  );
  const pointer = pointerOf('activation', 'hold', 'min_signatures');
  if (able.length < min_signatures)
    return [
      {
        severity: 'error',
        check: 'activation.unsatisfiable',
        pointer,
        found: `updates that wait for ${min_signatures} people where the roster has ${able.length}: no update could ever be released`,
        write_instead: 'give the roles to enough people with keys, or demand fewer signatures',
      },
    ];
  if (able.length > min_signatures) return [];
  return [
    {
      severity: 'warning',
      check: 'activation.no_spare',
      pointer,
      found: `updates that wait for every one of the ${able.length} people who may release them: if one is away, or loses a key, no update gets in`,
      write_instead: 'give the roles to one more person, or demand fewer signatures',
    },
  ];
}
