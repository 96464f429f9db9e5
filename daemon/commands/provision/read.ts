import { join } from 'node:path';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { sha256Hex } from '../../formats/digest.ts';
import {
  PROVISIONED_CONFIG,
  PROVISIONED_REPOSITORY,
  PROVISIONED_ROOT,
  PROVISIONING_FILE,
  type Provisioning,
  parseProvisioning,
  verifyProvisioning,
} from '../../formats/provisioning.ts';
import { parseConfig, siteOrigin } from '../../host/config.ts';
import { readBounded } from '../../host/durable-file.ts';
import { countersignersOf } from '../../policy/root-chain.ts';
import { profileOfRoot, readRoot } from '../../policy/update-root.ts';
import { directorySource } from '../../policy/update-source.ts';

const LIST_MAX_BYTES = 524_288;
/** As staging allows for one file of an update. */
const FILE_MAX_BYTES = 4_000_000;

/** A provisioning folder that was found to be what headquarters signed. */
export interface OpenedProvisioning {
  list: Provisioning;
  /** Hex SHA-256 of the signed list: what the people at both ends compare. */
  digest: string;
  /** Names of those who signed. */
  signers: string[];
  root: Uint8Array;
  config: Uint8Array;
  /** The repository's files by their names in it; each read once. */
  repository: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads a provisioning folder: the list, enough signatures of the targets keys that its own root names, and every file by its
 * digest. That root is believed only because somebody compared `digest`. Throws BoundaryError `provision.*`, `file.*`,
 * `update.*`, `config.*`.
 */
export function openFolder(folder: string): OpenedProvisioning {
  const carried = parseProvisioning(readList(folder));
  const { list, digest } = carried;
  const read = (name: string): Uint8Array => readListed(folder, name, list.files[name] ?? '');
  const root = read(PROVISIONED_ROOT);
  const parsed = readRoot(root);
  if (profileOfRoot(parsed) === 'dev')
    throw new BoundaryError(
      'init.dev_root',
      'The root in the provisioning folder belongs to a dev publisher, whose keys lie unprotected; no site but a dev site pins it. Nothing was made.',
      { at: folder },
    );
  const signers = verifyProvisioning(carried, countersignersOf(parsed));
  const config = read(PROVISIONED_CONFIG);
  assertConfig(config, list);
  const prefix = `${PROVISIONED_REPOSITORY}/`;
  const names = Object.keys(list.files).filter((name) => name.startsWith(prefix));
  const repository = new Map(names.map((name) => [name.slice(prefix.length), read(name)]));
  return { list, digest, signers, root, config, repository };
}

function readList(folder: string): Uint8Array {
  try {
    return readBounded(join(folder, PROVISIONING_FILE), LIST_MAX_BYTES);
  } catch (cause) {
    if (!(cause instanceof BoundaryError) || cause.code !== 'file.missing') throw cause;
    throw new BoundaryError(
      'provision.missing',
      `There is no ${PROVISIONING_FILE} in ${folder}: it is no provisioning folder, or nobody has signed it yet. Nothing was made.`,
      { at: folder, cause },
    );
  }
}

/** Links are not followed: a stick must not lead into the rest of the machine. */
function readListed(folder: string, name: string, digest: string): Uint8Array {
  const bytes = name.startsWith(`${PROVISIONED_REPOSITORY}/`)
    ? directorySource(join(folder, PROVISIONED_REPOSITORY)).read(
        name.slice(PROVISIONED_REPOSITORY.length + 1),
        FILE_MAX_BYTES,
      )
    : readBounded(join(folder, name), FILE_MAX_BYTES);
  if (bytes !== null && sha256Hex(bytes) === digest) return bytes;
  throw new BoundaryError(
    'provision.altered',
    `${name} in ${folder} ${bytes === null ? 'is missing' : 'is not the file that headquarters signed'}; nothing was made. Copy the folder again; if that does not help, ask headquarters.`,
    { at: name },
  );
}

function assertConfig(bytes: Uint8Array, list: Provisioning): void {
  siteOrigin(list.site);
  const config = parseConfig(Buffer.from(bytes).toString('utf8'), PROVISIONED_CONFIG);
  if (config.site === list.site && config.profile === list.profile) return;
  throw new BoundaryError(
    'provision.other_config',
    `The settings in the folder are for ${config.site} with profile ${config.profile}, its list is for ${list.site} with profile ${list.profile}. Nothing was made; ask headquarters for the folder again.`,
  );
}
