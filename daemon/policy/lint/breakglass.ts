import type { Bundle } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { listed } from '../diff/words.ts';
import type { Finding } from './finding.ts';

/** `breakglass.nobody`, `breakglass.no_reviewer`, `breakglass.no_issuer`: break-glass that the roster cannot fill. */
export function breakglassFindings({ breakglass, principals }: Bundle): Finding[] {
  if (breakglass === undefined) return [];
  const { roles, review, grants } = breakglass;
  const holders = (wanted: readonly string[]): string[] =>
    Object.entries(principals).flatMap(([id, { kind, status, keys = [], roles: held }]) => {
      const signs = kind === 'human' && status === 'active' && keys.some((key) => key.status !== 'revoked');
      return signs && held.some((role) => wanted.includes(role)) ? [id] : [];
    });
  const openers = holders(roles);
  const reviewers = holders(review.roles);
  const stuck = openers.filter((opener) => reviewers.every((reviewer) => reviewer === opener));
  return [
    ...(openers.length > 0
      ? []
      : [warning('nobody', ['roles'], `roles that nobody active with a key holds (${roles.join(', ')})`)]),
    ...(stuck.length === 0
      ? []
      : [
          warning(
            'no_reviewer',
            ['review', 'roles'],
            `nobody who could review what ${listed(stuck)} does under break-glass`,
          ),
        ]),
    ...(grants === undefined || holders(grants.roles).length > 0
      ? []
      : [warning('no_issuer', ['grants', 'roles'], `grants that nobody active with a key can issue`)]),
  ];
}

function warning(check: string, path: string[], found: string): Finding {
  return {
    severity: 'warning',
    check: `breakglass.${check}`,
    pointer: pointerOf('breakglass', ...path),
    found,
    write_instead: 'give the role to another person, or name another role',
  };
}
