import { Metadata, MetadataKind, type Root } from '@tufjs/models';
import { notAccepted } from './update-failure.ts';
import { keysDefect } from './update-keys.ts';

export const ROOT_MAX_BYTES = 512_000;
/** Signed member of a root made by the dev profile's local publisher. */
const PROFILE_MEMBER = 'x-holdfast-profile';
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
  for (const role of TOP_LEVEL_ROLES) {
    const defect = keysDefect(role, signed.roles[role], signed.keys);
    if (defect !== null) throw badRoot(`of its root: ${defect}`);
  }
  return signed;
}

/** `dev` for a root of a local 1-of-1 publisher, null for a real one. The stamp is signed and can never be taken off. */
export function profileOfRoot(root: Root): 'dev' | null {
  const stamp = root.unrecognizedFields[PROFILE_MEMBER];
  if (stamp === undefined) return null;
  if (stamp === 'dev') return 'dev';
  throw badRoot('its root carries an unknown profile stamp');
}

function badRoot(says: string, cause?: unknown): Error {
  return notAccepted(
    'update.bad_root',
    `${says}. Do not use it; ask the publisher for the right root`,
    cause,
  );
}
