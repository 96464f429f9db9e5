import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  Metadata,
  MetadataKind,
  type Root,
  type Snapshot,
  TargetFile,
  type Targets,
  type Timestamp,
} from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import {
  bundleTargetName,
  formatSiteTarget,
  parseSiteTarget,
  SITE_TARGET_MAX_BYTES,
  type SiteTarget,
  siteTargetName,
} from '../../daemon/formats/site-target.ts';
import { makeDir, readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
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
  tufTime,
} from './metadata.ts';

/*
 * The publisher's side of a TUF 1.0 repository with consistent snapshots. Nothing that a reader may be reading is ever
 * overwritten except `timestamp.json`, which is replaced atomically and last: a reader sees the old repository or the new.
 */

const METADATA_MAX_BYTES = 4_000_000;
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
  /** Canonical bundle file; name and version are those of its metadata. */
  bundle: { name: string; version: number; bytes: Uint8Array };
  site: string;
  /** Environments of the site that shall run this bundle; others keep theirs. */
  environments: readonly string[];
  signers: RoleSigners;
  lifetimes: Lifetimes;
  now: number;
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
  const { bundle, site, environments, signers, lifetimes, now } = publication;
  const current = readRepository(dir);
  const digest = sha256Hex(bundle.bytes);
  const path = bundleTargetName(bundle.name, bundle.version);
  const taken = current.targets[path];
  if (taken !== undefined && taken.hashes.sha256 !== digest) {
    throw new BoundaryError(
      'publish.version_taken',
      `${bundle.name} version ${bundle.version} was published before with other contents; nothing was published. Raise metadata.version.`,
    );
  }
  const before = readSite(dir, current.targets, site);
  assertNotOlder(before, environments, bundle);
  const pinned = { name: bundle.name, version: bundle.version, digest, path };
  const siteTarget: SiteTarget = {
    schema: 'holdfast/site/v1',
    site,
    serial: (before?.serial ?? 0) + 1,
    issued_at: tufTime(now),
    ...(current.profile === null ? {} : { profile: current.profile }),
    environments: {
      ...before?.environments,
      ...Object.fromEntries(environments.map((environment) => [environment, pinned])),
    },
  };
  const siteBytes = Buffer.from(formatSiteTarget(siteTarget), 'utf8');
  const targets = {
    ...current.targets,
    [path]: writeTarget(dir, path, bundle.bytes),
    [siteTargetName(site)]: writeTarget(dir, siteTargetName(site), siteBytes),
  };
  const versions = {
    targets: current.versions.targets + 1,
    snapshot: current.versions.snapshot + 1,
    timestamp: current.versions.timestamp + 1,
  };
  writeRepository(dir, targets, versions, { signers, lifetimes, now });
  return { digest, serial: siteTarget.serial, versions };
}

interface Repository {
  profile: 'dev' | null;
  targets: Record<string, TargetFile>;
  versions: { targets: number; snapshot: number; timestamp: number };
}

/** The publisher's own repository, read along its versions. Not a verification: what lies here is the publisher's word. */
function readRepository(dir: string): Repository {
  const timestamp = parse(
    dir,
    'timestamp.json',
    (json) => Metadata.fromJSON(MetadataKind.Timestamp, json).signed,
  );
  const snapshot = parse(
    dir,
    `${timestamp.snapshotMeta.version}.snapshot.json`,
    (json) => Metadata.fromJSON(MetadataKind.Snapshot, json).signed,
  );
  const version = snapshot.meta['targets.json']?.version ?? 0;
  const targets = parse(
    dir,
    `${version}.targets.json`,
    (json) => Metadata.fromJSON(MetadataKind.Targets, json).signed,
  );
  const root = parse(dir, '1.root.json', (json) => Metadata.fromJSON(MetadataKind.Root, json).signed);
  return {
    profile: root.unrecognizedFields['x-holdfast-profile'] === 'dev' ? 'dev' : null,
    targets: targets.targets,
    versions: { targets: targets.version, snapshot: snapshot.version, timestamp: timestamp.version },
  };
}

function parse<T extends Root | Targets | Snapshot | Timestamp>(
  dir: string,
  file: string,
  read: (json: Parameters<typeof Root.fromJSON>[0]) => T,
): T {
  const path = join(dir, 'metadata', file);
  const bytes = readBounded(path, METADATA_MAX_BYTES);
  try {
    return read(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new BoundaryError(
      'repository.damaged',
      `${path} is not TUF metadata; nothing was published. Restore the repository from a copy.`,
      { at: path, cause },
    );
  }
}

function readSite(dir: string, targets: Record<string, TargetFile>, site: string): SiteTarget | null {
  const name = siteTargetName(site);
  const target = Object.hasOwn(targets, name) ? targets[name] : undefined;
  return target === undefined
    ? null
    : parseSiteTarget(readBounded(targetPath(dir, name, target.hashes.sha256 ?? ''), SITE_TARGET_MAX_BYTES));
}

function assertNotOlder(
  before: SiteTarget | null,
  environments: readonly string[],
  bundle: Publication['bundle'],
): void {
  for (const environment of environments) {
    const pinned = before?.environments[environment];
    if (pinned === undefined || pinned.name !== bundle.name || pinned.version <= bundle.version) continue;
    throw new BoundaryError(
      'publish.not_newer',
      `${environment} runs ${pinned.name} version ${pinned.version} already; version ${bundle.version} was not published. Publish old rules again under a new version.`,
    );
  }
}

function writeTarget(dir: string, name: string, bytes: Uint8Array): TargetFile {
  const digest = sha256Hex(bytes);
  const path = targetPath(dir, name, digest);
  const parents = dirname(name).split('/');
  for (let depth = 1; depth <= parents.length; depth++)
    makeDir(join(dir, 'targets', ...parents.slice(0, depth)), DIR_MODE);
  writeDurable(path, bytes, FILE_MODE);
  return new TargetFile({ path: name, length: bytes.length, hashes: { sha256: digest } });
}

/** Consistent snapshots put the digest before the last part of the name (TUF §6.2). */
function targetPath(dir: string, name: string, digest: string): string {
  const slash = name.lastIndexOf('/') + 1;
  return join(dir, 'targets', `${name.slice(0, slash)}${digest}.${name.slice(slash)}`);
}

interface Finishing {
  signers: RoleSigners;
  lifetimes: Lifetimes;
  now: number;
}

function writeRepository(
  dir: string,
  targets: Record<string, TargetFile>,
  versions: Repository['versions'],
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
