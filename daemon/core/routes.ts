import type { BundleRoute } from './bundle.ts';
import type { AuthorityGroup, Verdict } from './verdict.ts';

/**
 * The authority that a risk band demands: the groups of every matching route together, so that a broad route can only
 * add to a narrow one. Null when no route matches: authority that nobody defined is not authority to act.
 */
export function requiredAuthority(routes: readonly BundleRoute[], band: string): Verdict['authority'] | null {
  const matching = routes.filter(
    ({ bands }) => bands === undefined || bands.length === 0 || bands.includes(band),
  );
  if (matching.length === 0) return null;
  const required: AuthorityGroup[] = [];
  for (const route of matching) {
    for (const group of route.require) addGroup(required, group, route.id);
  }
  return { route: matching.map(({ id }) => id).join('+'), required };
}

/** The same group of the same roles counts once, with the larger number; another group of that name gets its route's. */
function addGroup(required: AuthorityGroup[], group: BundleRoute['require'][number], route: string): void {
  const { group: name, roles, min_signatures } = group;
  const namesake = required.find((other) => other.group === name);
  if (namesake === undefined) {
    required.push({ group: name, roles: [...roles], min_signatures });
  } else if (sameRoles(namesake.roles, roles)) {
    namesake.min_signatures = Math.max(namesake.min_signatures, min_signatures);
  } else {
    required.push({ group: `${route}.${name}`, roles: [...roles], min_signatures });
  }
}

function sameRoles(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((role) => b.includes(role));
}
