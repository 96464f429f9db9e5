import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TargetFile } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { bundleTargetName, formatSiteTarget, siteTargetName } from '../../daemon/formats/site-target.ts';
import { makeDir, writeDurable } from '../../daemon/host/durable-file.ts';
import type { RoleName, RoleSigners } from './keys.ts';
import {
  expiry,
  type Lifetimes,
  type SignedFile,
  type Signing,
  signRoot,
  signSnapshot,
  signTargets,
  signTimestamp,
} from './metadata.ts';
import {
  assertVersionFree,
  type BundleFile,
  type EffectiveAt,
  nextSiteTarget,
  type ShadowFile,
} from './site-file.ts';
import { profileOf, readSiteFile, readState, targetPath } from './state.ts';

/*
 * The publisher's side of a TUF 1.0 repository with consistent snapshots. Nothing that a reader may be reading is ever
 * overwritten except `timestamp.json`, which is replaced atomically and last: a reader sees the old repository or the new.
 */

const FILE_MODE = 0o644;
const DIR_MODE = 0o755;

export interface NewRepository {
  keys: RoleSigners;
  thresholds: Record<RoleName, number>;
  lifetimes: Lifetimes;
  profile: 'dev' | null;
  now: number;
}

/**
 * Creates an empty repository in `dir`, which must not exist: `metadata/1.root.json` and empty targets, snapshot and
 * timestamp. Returns the bytes of the root, to be pinned at sites.
 */
export function createRepository(
  dir: string,
  { keys, thresholds, lifetimes, profile, now }: NewRepository,
): { root: Uint8Array } {
  if (existsSync(dir))
    throw new BoundaryError(
      'repository.exists',
      `${dir} is there already; nothing was written. Repositories are added to, never made anew.`,
      { at: dir },
    );
  for (const path of [
    dir,
    join(dir, 'metadata'),
    join(dir, 'targets'),
    join(dir, 'targets', 'bundles'),
    join(dir, 'targets', 'sites'),
  ])
    makeDir(path, DIR_MODE);
  const root = signRoot({ version: 1, keys, thresholds, signers: keys.root, profile, now, lifetimes });
  writeMetadata(dir, '1.root.json', root);
  writeRepository(dir, {}, { targets: 1, snapshot: 1, timestamp: 1 }, { signers: keys, lifetimes, now });
  return { root: root.bytes };
}

export interface Publication {
  bundle: BundleFile;
  site: string;
  /** Environments of the site that shall run this bundle; others keep theirs. */
  environments: readonly string[];
  signers: RoleSigners;
  lifetimes: Lifetimes;
  now: number;
  effective_at?: EffectiveAt;
  /** What these environments have in shadow from now on; nothing when absent. */
  shadow?: ShadowFile | undefined;
}

export interface Published {
  digest: string;
  serial: number;
  versions: { targets: number; snapshot: number; timestamp: number };
}

/**
 * Publishes a bundle for some environments of a site: new targets, snapshot and timestamp versions, a higher serial.
 * Throws BoundaryError `publish.version_taken` (same name and version, other bytes), `publish.not_newer` (older than what
 * the environment runs) or `repository.*`; nothing that readers see has changed then.
 */
export function publish(dir: string, publication: Publication): Published {
  const { bundle, site, environments, signers, lifetimes, now, effective_at, shadow } = publication;
  const current = readState(dir);
  const listed = current.targets.signed.targets;
  const profile = profileOf(current.root);
  if (current.targets.signed.delegations !== undefined)
    throw new BoundaryError(
      'publish.regions',
      'Regions sign for sites of this repository, so it is published by ceremony only; nothing was published.',
    );
  const digest = sha256Hex(bundle.bytes);
  const bundles = new Map(
    [bundle, ...(shadow === undefined ? [] : [shadow.bundle])].map((file) => [
      bundleTargetName(file.name, file.version),
      file,
    ]),
  );
  for (const [path, file] of bundles) assertVersionFree(file, listed[path]);
  const before = readSiteFile(dir, current.targets.signed, siteTargetName(site));
  const siteTarget = nextSiteTarget(before, {
    site,
    environments,
    bundle,
    shadow,
    profile,
    now,
    effective_at,
  });
  const siteBytes = Buffer.from(formatSiteTarget(siteTarget), 'utf8');
  const targets = {
    ...listed,
    ...Object.fromEntries([...bundles].map(([path, { bytes }]) => [path, writeTarget(dir, path, bytes)])),
    [siteTargetName(site)]: writeTarget(dir, siteTargetName(site), siteBytes),
  };
  const versions = {
    targets: current.targets.signed.version + 1,
    snapshot: current.snapshot.signed.version + 1,
    timestamp: current.timestamp.signed.version + 1,
  };
  writeRepository(dir, targets, versions, { signers, lifetimes, now });
  return { digest, serial: siteTarget.serial, versions };
}

/** Publishes another list of targets, whose files are all there. */
export function publishList(dir: string, targets: Record<string, TargetFile>, finishing: Finishing): void {
  const { targets: list, snapshot, timestamp } = readState(dir);
  const versions = {
    targets: list.signed.version + 1,
    snapshot: snapshot.signed.version + 1,
    timestamp: timestamp.signed.version + 1,
  };
  writeRepository(dir, targets, versions, finishing);
}

/** Adds a target's file to a repository or staging area, durably. */
export function writeTarget(dir: string, name: string, bytes: Uint8Array): TargetFile {
  const digest = sha256Hex(bytes);
  const path = targetPath(dir, name, digest);
  const parents = join('targets', dirname(name)).split('/');
  for (let depth = 1; depth <= parents.length; depth++)
    makeDir(join(dir, ...parents.slice(0, depth)), DIR_MODE);
  writeDurable(path, bytes, FILE_MODE);
  return new TargetFile({ path: name, length: bytes.length, hashes: { sha256: digest } });
}

interface Finishing {
  signers: RoleSigners;
  lifetimes: Lifetimes;
  now: number;
}

function writeRepository(
  dir: string,
  targets: Record<string, TargetFile>,
  versions: Published['versions'],
  finishing: Finishing,
): void {
  const signing = (role: 'targets' | 'snapshot' | 'timestamp'): Signing => ({
    version: versions[role],
    signers: finishing.signers[role],
    expires: expiry(finishing.now, finishing.lifetimes[role]),
  });
  const signedTargets = signTargets(targets, signing('targets'));
  writeMetadata(dir, `${versions.targets}.targets.json`, signedTargets);
  const snapshot = signSnapshot(signedTargets, signing('snapshot'));
  writeMetadata(dir, `${versions.snapshot}.snapshot.json`, snapshot);
  // The point of no return: readers start at the timestamp, and everything it leads to is durable.
  writeMetadata(dir, 'timestamp.json', signTimestamp(snapshot, signing('timestamp')));
}

function writeMetadata(dir: string, name: string, file: SignedFile): void {
  writeDurable(join(dir, 'metadata', name), file.bytes, FILE_MODE);
}
