import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { keyOf } from '../../../sync/repository/keys.ts';
import { newestRoot } from '../../../sync/repository/state.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { sha256Hex } from '../../formats/digest.ts';
import {
  PROVISIONED_CONFIG,
  PROVISIONED_REPOSITORY,
  PROVISIONED_ROOT,
  PROVISIONING_FILE,
  type Provisioning,
  parseProvisioning,
  provisioningBytes,
  signersOf,
  signProvisioning,
} from '../../formats/provisioning.ts';
import type { NoteSigner } from '../../formats/signed-note.ts';
import { formatConfig, parseConfig } from '../../host/config.ts';
import { makeDir, readBounded, syncDir, writeDurable } from '../../host/durable-file.ts';
import { countersignersOf } from '../../policy/root-chain.ts';
import { profileOfRoot, ROOT_MAX_BYTES, readRoot } from '../../policy/update-root.ts';
import { type VerifiedUpdate, verifyUpdate } from '../../policy/verify-update.ts';

const CONFIG_MAX_BYTES = 65_536;

/** What a provisioning folder is made of. */
export interface ProvisionOptions {
  site: string;
  profile: Provisioning['profile'];
  /** The published repository of headquarters. */
  repository: string;
  /** Settings for the site; null: those that `init` writes. */
  configFile: string | null;
  /** Where the folder goes; must not exist. */
  out: string;
  /** Unix ms. */
  now: number;
}

/** A folder that was made, not yet signed. */
export interface MadeFolder {
  list: Provisioning;
  payload: Uint8Array;
  /** RFC 3339: until then the policy in it can be activated. */
  expires_at: string;
}

/**
 * Makes the folder of public files that a machine becomes the site by: the newest root, the site's part of the repository as
 * its own client verifies it, and its settings. Nothing in it is secret. The folder is there whole or not at all, without
 * `provision.json`. Throws BoundaryError `provision.*`, `update.*`, `config.*`.
 */
export async function makeFolder(options: ProvisionOptions): Promise<MadeFolder> {
  const { site, profile, repository, out, now } = options;
  if (existsSync(out))
    throw new BoundaryError('file.exists', `${out} exists; nothing was made. Name another directory.`, {
      at: out,
    });
  const root = newestRootOf(repository);
  const config = configOf(options);
  const update = await firstUpdate(repository, root, site, now);
  const files = new Map<string, Uint8Array>([
    [PROVISIONED_ROOT, root],
    [PROVISIONED_CONFIG, config],
    ...[...update.files].map(
      ([name, bytes]) => [`${PROVISIONED_REPOSITORY}/${name}`, bytes] as [string, Uint8Array],
    ),
  ]);
  writeFolder(out, files);
  const list: Provisioning = {
    v: 1,
    site,
    profile,
    issued_at: `${new Date(now).toISOString().slice(0, 19)}Z`,
    policy: Object.fromEntries(
      Object.entries(update.siteTarget.environments).map(([environment, { name, version }]) => [
        environment,
        `${name}@${version}`,
      ]),
    ),
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, sha256Hex(bytes)])),
  };
  return { list, payload: provisioningBytes(list), expires_at: update.expiresAt };
}

/** What the site would take in, found by its own way of reading it. */
async function firstUpdate(
  repositoryDir: string,
  trustedRoot: Uint8Array,
  site: string,
  now: number,
): Promise<VerifiedUpdate> {
  try {
    return await verifyUpdate({ repositoryDir, trustedRoot, site, now, expiry: 'enforce' });
  } catch (cause) {
    if (!(cause instanceof BoundaryError) || !cause.code.startsWith('update.')) throw cause;
    const why = cause.message
      .replace('The update was not accepted: ', '')
      .replace('The policy in force stays as it was.', '');
    throw new BoundaryError(
      'provision.no_policy',
      `${site} could not begin with what is published in ${repositoryDir}: ${why.trim()} Nothing was made. Publish its first policy: holdfast repo publish DIR POLICY --site ${site}`,
      { at: repositoryDir, cause },
    );
  }
}

/** Keys that left the role sign nothing any more: a new site begins with the newest root. */
function newestRootOf(repository: string): Uint8Array {
  const root = readBounded(
    join(repository, 'metadata', `${newestRoot(repository)}.root.json`),
    ROOT_MAX_BYTES,
  );
  if (profileOfRoot(readRoot(root)) === 'dev')
    throw new BoundaryError(
      'provision.dev_publisher',
      'This is the publisher of a dev site, whose keys lie unprotected; no other site is made by it. Nothing was made. Make a publisher with: holdfast repo init',
      { at: repository },
    );
  return root;
}

function configOf({ site, profile, configFile }: ProvisionOptions): Uint8Array {
  if (configFile === null) return Buffer.from(formatConfig({ site, profile, operatorActor: null }), 'utf8');
  const bytes = readBounded(configFile, CONFIG_MAX_BYTES);
  const config = parseConfig(Buffer.from(bytes).toString('utf8'), configFile);
  if (config.site === site && config.profile === profile) return bytes;
  throw new BoundaryError(
    'provision.other_config',
    `${configFile} is for ${config.site} with profile ${config.profile}, not for ${site} with profile ${profile}; nothing was made.`,
    { at: configFile },
  );
}

function writeFolder(out: string, files: ReadonlyMap<string, Uint8Array>): void {
  const building = mkdtempSync(join(dirname(out), `.${basename(out)}.`));
  try {
    for (const [name, bytes] of files) {
      mkdirSync(dirname(join(building, name)), { recursive: true });
      writeDurable(join(building, name), bytes, 0o644);
    }
    makeDir(building, 0o755);
    renameSync(building, out);
    syncDir(dirname(out));
  } catch (error) {
    rmSync(building, { recursive: true, force: true });
    throw error;
  }
}

/** How far the signing of a folder is. */
export interface FolderSignatures {
  signed: string[];
  threshold: number;
  /** Who could still sign. */
  open: string[];
}

/**
 * Adds one signature to a folder's list and writes `provision.json`. `payload` is the list of a new folder; null signs the
 * one that is there. Throws BoundaryError `provision.not_a_signer`, `provision.malformed`.
 */
export function signFolder(folder: string, payload: Uint8Array | null, signer: NoteSigner): FolderSignatures {
  const path = join(folder, PROVISIONING_FILE);
  const signers = countersignersOf(readRoot(readBounded(join(folder, PROVISIONED_ROOT), ROOT_MAX_BYTES)));
  const keyid = keyOf(signer).keyID;
  const key = signers.keys.find(({ id }) => id === keyid);
  if (key === undefined)
    throw new BoundaryError(
      'provision.not_a_signer',
      `Provisioning folders are signed by the targets keys (${signers.keys.map(({ name }) => name).join(', ')}); ${signer.name} is none of them. Nothing was signed.`,
      { at: '--key' },
    );
  const before = payload === null ? readFolderList(folder) : null;
  const bytes = payload ?? before?.envelope.payload ?? new Uint8Array();
  const kept = before?.envelope.signatures ?? [];
  const text = signProvisioning(bytes, kept, { keyid, sign: signer.sign });
  writeDurable(path, Buffer.from(text, 'utf8'), 0o644);
  const { envelope } = parseProvisioning(Buffer.from(text, 'utf8'));
  const signed = signersOf(envelope, signers);
  const open = signers.keys.map(({ name }) => name).filter((name) => !signed.includes(name));
  return { signed, threshold: signers.threshold, open };
}

/** The list of a folder, its signatures not verified. */
export function readFolderList(folder: string): ReturnType<typeof parseProvisioning> {
  return parseProvisioning(readBounded(join(folder, PROVISIONING_FILE), 524_288));
}
