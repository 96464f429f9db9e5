import { join } from 'node:path';
import type { TargetFile } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { assertNotDropped } from './dropped.ts';
import { ROLES, type RoleName, type RoleSigners } from './keys.ts';
import type { Lifetimes } from './metadata.ts';
import { createRepository, type Publication, type Published, publish, publishList } from './publish.ts';

/*
 * A publisher's directory: `keys/ROLE.key` (0600) and `repository/`, which is what travels. This one holds all keys at one
 * desk, one per role: right for developing, stamped `dev`, and refused by every other site.
 */

const ONE_OF_ONE: Record<RoleName, number> = { root: 1, targets: 1, snapshot: 1, timestamp: 1 };
/** Days. A developer's site should not stop importing over a holiday. */
const DEV_LIFETIMES: Lifetimes = { root: 3_650, targets: 365, snapshot: 365, timestamp: 365 };

/** Where the repository lies in a publisher's directory. */
export function repositoryDir(dir: string): string {
  return join(dir, 'repository');
}

/** Makes keys and an empty repository in `dir`, which exists and is empty. Returns the root to pin. `name` names the keys. */
export function createDevPublisher(
  dir: string,
  { name, now }: { name: string; now: number },
): { root: Uint8Array } {
  makeDir(join(dir, 'keys'), 0o700);
  for (const role of ROLES) createSigningKey(keyPath(dir, role), `${name}/publisher/${role}`);
  return createRepository(repositoryDir(dir), {
    keys: loadSigners(dir),
    thresholds: ONE_OF_ONE,
    lifetimes: DEV_LIFETIMES,
    profile: 'dev',
    now,
  });
}

/** `publish` with the publisher's own keys. Throws BoundaryError `publish.*`, `repository.*`, or `secret.*` for its keys. */
export function publishFrom(dir: string, publication: Omit<Publication, 'signers' | 'lifetimes'>): Published {
  const { bundle, shadow } = publication;
  for (const file of [bundle, ...(shadow === undefined ? [] : [shadow.bundle])]) assertNotDropped(dir, file);
  return publish(repositoryDir(dir), { ...publication, signers: loadSigners(dir), lifetimes: DEV_LIFETIMES });
}

/** Publishes a shorter list with the publisher's own keys. Throws as `publishFrom`. */
export function publishListFrom(dir: string, targets: Record<string, TargetFile>, now: number): void {
  publishList(repositoryDir(dir), targets, { signers: loadSigners(dir), lifetimes: DEV_LIFETIMES, now });
}

function loadSigners(dir: string): RoleSigners {
  const only = (role: RoleName): readonly NoteSigner[] => [loadRole(dir, role)];
  return {
    root: only('root'),
    targets: only('targets'),
    snapshot: only('snapshot'),
    timestamp: only('timestamp'),
  };
}

function loadRole(dir: string, role: RoleName): NoteSigner {
  try {
    return loadSigner(keyPath(dir, role));
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code !== 'file.missing') throw error;
    throw new BoundaryError(
      'publish.no_publisher',
      `${dir} is no publisher's directory: it has no keys/${role}.key. Nothing was published. A dev site has one in publisher/.`,
      { at: dir, cause: error },
    );
  }
}

function keyPath(dir: string, role: RoleName): string {
  return join(dir, 'keys', `${role}.key`);
}
