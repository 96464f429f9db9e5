import { Metadata, MetadataKind, type Targets } from '@tufjs/models';
import { isRegionName, isSiteTargetName } from '../formats/site-target.ts';
import { notAccepted } from './update-failure.ts';
import { keysDefect } from './update-keys.ts';

const MAX_REGIONS = 1_000;

/**
 * Which region's keys sign which site file: target name → role name. Exactly one form of delegation is accepted: named
 * regions, terminating, for site files named one by one, each by one region and not by the top-level role as well. All
 * else (patterns, hash bins, bundles, overlaps) throws BoundaryError `update.delegation`: it would be read by rules that
 * are not enforced here.
 */
export function readDelegations(targets: Targets): ReadonlyMap<string, string> {
  const { delegations } = targets;
  const regionOf = new Map<string, string>();
  if (delegations === undefined) return regionOf;
  const roles = Object.values(delegations.roles ?? {});
  if (delegations.succinctRoles !== undefined || roles.length === 0 || roles.length > MAX_REGIONS)
    throw refused('it delegates otherwise than to named regions');
  for (const role of roles) {
    if (!isRegionName(role.name)) throw refused('it delegates to a role whose name no region has');
    if (!role.terminating) throw refused(`its delegation to ${role.name} is not terminating`);
    const defect = keysDefect(role.name, role, delegations.keys);
    if (defect !== null) throw refused(defect);
    const { paths } = role;
    if (paths === undefined || paths.length === 0 || role.pathHashPrefixes !== undefined)
      throw refused(`its delegation to ${role.name} does not name its sites`);
    for (const path of paths) {
      if (!isSiteTargetName(path))
        throw refused(`its delegation to ${role.name} is for more than named sites`);
      if (regionOf.has(path) || Object.hasOwn(targets.targets, path))
        throw refused(`it lets more than one role speak for ${path}`);
      regionOf.set(path, role.name);
    }
  }
  return regionOf;
}

/** A region's own list: only what was delegated to it, and nothing passed on. Throws BoundaryError `update.delegation`. */
export function readRegion(bytes: Uint8Array, name: string, regionOf: ReadonlyMap<string, string>): Targets {
  const { signed } = Metadata.fromJSON(MetadataKind.Targets, JSON.parse(Buffer.from(bytes).toString('utf8')));
  if (signed.delegations !== undefined) throw refused(`the region ${name} delegates further`);
  const stray = Object.keys(signed.targets).find((path) => regionOf.get(path) !== name);
  if (stray !== undefined) throw refused(`the region ${name} speaks for what was not given to it`);
  return signed;
}

function refused(says: string): Error {
  return notAccepted('update.delegation', `${says}. Do not use this copy; tell the publisher`);
}
