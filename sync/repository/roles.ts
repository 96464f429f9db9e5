import { Key, Root, type TargetFile, Targets } from '@tufjs/models';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex, toHex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { Vkey } from '../../daemon/formats/signed-note.ts';
import { siteTargetName } from '../../daemon/formats/site-target.ts';
import { ROLES, type RoleName } from './keys.ts';

/** What TUF metadata of ours says it follows. */
export const SPEC_VERSION = '1.0.31';
/** Signed member of a key: its holder's name, for people only. */
const NAME_MEMBER = 'x-holdfast-name';

/** Who may sign a role, and how many of them must. */
export interface RoleKeys {
  keys: readonly Key[];
  threshold: number;
}

/** A region: its keys sign the files of its sites. */
export interface Region extends RoleKeys {
  name: string;
  /** Origins. */
  sites: readonly string[];
}

/** The TUF key of a verifier key, with its holder's name; the id does not depend on the name. */
export function namedKey({ name, publicKey }: Vkey): Key {
  const key = { keyType: 'ed25519', scheme: 'ed25519', keyVal: { public: toHex(publicKey) } };
  return new Key({ keyID: keyIdOf(key), ...key, unrecognizedFields: { [NAME_MEMBER]: name } });
}

/** The id that a key has by its own contents (TUF §4.2). */
export function keyIdOf({ keyType, scheme, keyVal }: Pick<Key, 'keyType' | 'scheme' | 'keyVal'>): string {
  return sha256Hex(canonicalBytes({ keytype: keyType, keyval: keyVal as JsonObject, scheme }));
}

/** The holder's name, or the start of the key's id where it has none. */
export function keyName(key: Key): string {
  const name = key.unrecognizedFields?.[NAME_MEMBER];
  return typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}$/.test(name)
    ? name
    : `key ${key.keyID.slice(0, 8)}`;
}

function roleOf(root: Root, name: RoleName): RoleKeys {
  const role = root.roles[name];
  return {
    threshold: role?.threshold ?? 1,
    keys: (role?.keyIDs ?? []).flatMap((id) => root.keys[id] ?? []),
  };
}

/** What a root says about its roles. */
export function rolesOf(root: Root): Record<RoleName, RoleKeys> {
  const of = (name: RoleName): RoleKeys => roleOf(root, name);
  return { root: of('root'), targets: of('targets'), snapshot: of('snapshot'), timestamp: of('timestamp') };
}

/** An unsigned root. `dev` stamps a local 1-of-1 publisher. */
export function buildRoot(options: {
  version: number;
  expires: string;
  roles: Record<RoleName, RoleKeys>;
  profile: 'dev' | null;
}): Root {
  const { version, expires, roles, profile } = options;
  const all = ROLES.flatMap((role) => roles[role].keys);
  return Root.fromJSON({
    _type: 'root',
    version,
    spec_version: SPEC_VERSION,
    expires,
    consistent_snapshot: true,
    keys: Object.fromEntries(all.map((key) => [key.keyID, key.toJSON()])),
    roles: Object.fromEntries(
      ROLES.map((role) => [
        role,
        { keyids: roles[role].keys.map(({ keyID }) => keyID), threshold: roles[role].threshold },
      ]),
    ),
    ...(profile === null ? {} : { 'x-holdfast-profile': profile }),
  });
}

/** The regions that a list of targets delegates to. */
export function regionsOf({ delegations }: Targets): Region[] {
  return Object.values(delegations?.roles ?? {}).map((role) => ({
    name: role.name,
    threshold: role.threshold,
    keys: role.keyIDs.flatMap((id) => delegations?.keys[id] ?? []),
    sites: (role.paths ?? []).map((path) => path.replace(/^sites\//, '').replace(/\.json$/, '')),
  }));
}

/** An unsigned list of targets. Delegations are terminating and name each site (the only form that sites accept). */
export function buildTargets(options: {
  version: number;
  expires: string;
  targets: Readonly<Record<string, TargetFile>>;
  regions: readonly Region[];
}): Targets {
  const { version, expires, targets, regions } = options;
  const keys = regions.flatMap((region) => region.keys);
  const delegations = {
    keys: Object.fromEntries(keys.map((key) => [key.keyID, key.toJSON()])),
    roles: regions.map(({ name, threshold, keys: own, sites }) => ({
      name,
      threshold,
      keyids: own.map(({ keyID }) => keyID),
      paths: sites.map(siteTargetName),
      terminating: true,
    })),
  };
  return Targets.fromJSON({
    _type: 'targets',
    version,
    spec_version: SPEC_VERSION,
    expires,
    targets: Object.fromEntries(Object.entries(targets).map(([name, file]) => [name, file.toJSON()])),
    ...(regions.length === 0 ? {} : { delegations }),
  });
}
