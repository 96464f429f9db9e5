import { Metadata, MetadataKind, type Root } from '@tufjs/models';
import { fromHex } from '../formats/digest.ts';
import { isStrictPublicKey } from '../formats/ed25519.ts';
import { notAccepted } from './update-failure.ts';

export const ROOT_MAX_BYTES = 512_000;
/** Signed member of a root made by the dev profile's local publisher. */
export const PROFILE_MEMBER = 'x-holdfast-profile';
const TOP_LEVEL_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;

/**
 * A root as trust may start or end with: signed by itself, consistent snapshots, Ed25519 keys only, each valid, each key
 * counted once whatever its id. Throws BoundaryError `update.bad_root`.
 */
export function readRoot(bytes: Uint8Array): Root {
  let root: Metadata<Root>;
  try {
    root = Metadata.fromJSON(MetadataKind.Root, JSON.parse(Buffer.from(bytes).toString('utf8')));
    root.verifyDelegate(MetadataKind.Root, root);
  } catch (error) {
    throw badRoot('its root file is malformed or not signed by its own keys', error);
  }
  const { signed } = root;
  if (!signed.consistentSnapshot) throw badRoot('its root does not ask for consistent snapshots');
  if (!Number.isSafeInteger(signed.version) || signed.version < 1)
    throw badRoot('its root has no proper version');
  for (const role of TOP_LEVEL_ROLES) checkRoleKeys(signed, role);
  return signed;
}

/** `dev` for a root of a local 1-of-1 publisher, null for a real one. The stamp is signed and can never be taken off. */
export function profileOfRoot(root: Root): 'dev' | null {
  const stamp = root.unrecognizedFields[PROFILE_MEMBER];
  if (stamp === undefined) return null;
  if (stamp === 'dev') return 'dev';
  throw badRoot('its root carries an unknown profile stamp');
}

function checkRoleKeys(root: Root, roleName: string): void {
  const role = root.roles[roleName];
  if (role === undefined || !Number.isSafeInteger(role.threshold))
    throw badRoot(`its root has no proper ${roleName} role`);
  const seen = new Set<string>();
  for (const id of role.keyIDs) {
    const key = root.keys[id];
    const value = key?.keyVal.public;
    if (
      key?.keyType !== 'ed25519' ||
      key.scheme !== 'ed25519' ||
      value === undefined ||
      !/^[0-9a-f]{64}$/.test(value)
    ) {
      throw badRoot(`a key of the ${roleName} role is not an Ed25519 key in lower-case hex`);
    }
    // RFC 8032 leaves room for keys under which anybody can sign; such a key would make a threshold meaningless.
    if (!isStrictPublicKey(fromHex(value))) throw badRoot(`a key of the ${roleName} role is weak`);
    // TUF counts key ids; two ids for one key would let one person fill a threshold of two.
    if (seen.has(value)) throw badRoot(`one key stands twice in the ${roleName} role`);
    seen.add(value);
  }
}

function badRoot(says: string, cause?: unknown): Error {
  return notAccepted(
    'update.bad_root',
    `${says}. Do not use it; ask the publisher for the right root`,
    cause,
  );
}
