import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Targets } from '@tufjs/models';
import type { Updater } from 'tuf-js';
import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import { type SiteTarget, siteTargetName } from '../formats/site-target.ts';
import { assertOneRepository } from './update-chain.ts';
import { openClient } from './update-client.ts';
import { readDelegations, readRegion } from './update-delegation.ts';
import { notAccepted, updateFailure } from './update-failure.ts';
import { profileOfRoot, readRoot } from './update-root.ts';
import { directorySource, filesSource, LocalFetcher, type UpdateSource } from './update-source.ts';
import { readBundles, readSiteTarget, readTargets } from './update-targets.ts';

export interface VerifyOptions {
  /** The repository: a directory with `metadata/` and `targets/`, or the same files in memory by those names. */
  repositoryDir?: string;
  files?: ReadonlyMap<string, Uint8Array>;
  /** Bytes of the root pinned at provisioning. */
  trustedRoot: Uint8Array;
  /** `metadata/` of the update accepted last, in repository layout; against rollback. Null before the first. */
  trustedMetadataDir?: string | null;
  site: string;
  /** Milliseconds; the caller's best lower bound of the time. */
  now: number;
  /** `ignore` for an update that is in force already: expired policy is judged by its own freshness rules. */
  expiry: 'enforce' | 'ignore';
}

export interface VerifiedUpdate {
  /** Hex SHA-256 that names this state of the repository, whatever medium it came on. */
  updateId: string;
  versions: { root: number; timestamp: number; snapshot: number; targets: number };
  /** `dev` when the publisher is a local 1-of-1. */
  profile: 'dev' | null;
  siteTarget: SiteTarget;
  /** When the first of its metadata expires, RFC 3339: until then it can be activated. */
  expiresAt: string;
  /** Bundle bytes by their hex SHA-256. */
  bundles: ReadonlyMap<string, Uint8Array>;
  /** Exactly the verified bytes, as a repository that holds this site's part: verifying it again gives the same update. */
  files: Map<string, Uint8Array>;
}

/**
 * Verifies a TUF 1.0 repository from the pinned root down to this site's bundles (TUF §5), without network and without
 * trusting the medium: each file is read once, and only verified bytes are returned. Throws BoundaryError `update.*`.
 */
export async function verifyUpdate(options: VerifyOptions): Promise<VerifiedUpdate> {
  const source = sourceOf(options);
  const pinned = readRoot(options.trustedRoot);
  const staging = mkdtempSync(join(tmpdir(), 'holdfast-update-'));
  try {
    const fetcher = new LocalFetcher(source, acceptedSource(options.trustedMetadataDir));
    seedAccepted(staging, options);
    const { updater, metadata } = await refresh(staging, fetcher, options);
    const root = readRoot(metadata.root);
    const profile = profileOfRoot(root);
    if (profile !== profileOfRoot(pinned))
      throw notAccepted(
        'update.profile',
        'its root changed between a dev publisher and a real one, which no rotation may do',
      );
    const targets = readTargets(metadata.targets);
    const region = await loadRegion(updater, fetcher, staging, targets, options.site);
    assertOneRepository({ ...metadata, region });
    const siteTarget = readSiteTarget(source, region?.targets ?? targets, options.site, profile);
    const bundles = readBundles(source, targets, siteTarget.value);
    const versions = versionsOf(metadata);
    const files = new Map([
      ...rootFiles(fetcher, options.trustedRoot, pinned.version, versions.root),
      ...metadataFiles(metadata, versions),
    ]);
    if (region !== null) files.set(`metadata/${region.targets.version}.${region.name}.json`, region.bytes);
    for (const file of [siteTarget.file, ...bundles.map(({ file }) => file)])
      files.set(file.name, file.bytes);
    return {
      updateId: updateIdOf(metadata, region),
      versions,
      profile,
      siteTarget: siteTarget.value,
      expiresAt: expiresAt([...Object.values(metadata), ...(region === null ? [] : [region.bytes])]),
      bundles: new Map(bundles.map(({ digest, file }) => [digest, file.bytes])),
      files,
    };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

type Role = 'root' | 'timestamp' | 'snapshot' | 'targets';
/** The four verified top-level metadata files. */
type MetadataBytes = Record<Role, Uint8Array>;

function sourceOf({ repositoryDir, files }: VerifyOptions): UpdateSource {
  if (files !== undefined) return filesSource(files);
  if (repositoryDir !== undefined) return directorySource(repositoryDir);
  throw new Error('update: neither a directory nor files to verify');
}

/** Roots accepted before: the medium cannot make the site forget a rotation by leaving it out. */
function acceptedSource(dir: string | null | undefined): UpdateSource | null {
  return dir === null || dir === undefined ? null : directorySource(join(dir, '..'));
}

/** Lays what the site trusts already where tuf-js looks for it: it compares versions against these (TUF §5.4.3, §5.5.5). */
function seedAccepted(staging: string, { trustedRoot, trustedMetadataDir }: VerifyOptions): void {
  writeFileSync(join(staging, 'root.json'), trustedRoot, { mode: 0o600 });
  if (trustedMetadataDir === null || trustedMetadataDir === undefined) return;
  for (const file of readdirSync(trustedMetadataDir)) {
    const role = /^(?:[0-9]+\.)?(timestamp|snapshot|targets)\.json$/.exec(file)?.[1];
    if (role !== undefined)
      writeFileSync(join(staging, `${role}.json`), readFileSync(join(trustedMetadataDir, file)), {
        mode: 0o600,
      });
  }
}

/** Runs the client workflow of TUF §5.3 to §5.6 and returns what it verified and kept. */
async function refresh(
  staging: string,
  fetcher: LocalFetcher,
  { now, expiry }: VerifyOptions,
): Promise<{ updater: Updater; metadata: MetadataBytes }> {
  let updater: Updater;
  try {
    updater = openClient({
      staging,
      fetcher,
      metadataBaseUrl: LocalFetcher.metadataUrl,
      now: expiry === 'enforce' ? now : 0,
      maxDelegations: 1,
    });
    await updater.refresh();
  } catch (error) {
    throw updateFailure(error, fetcher.failure);
  }
  const kept = (role: Role): Uint8Array => readStaged(staging, role);
  const metadata = {
    root: kept('root'),
    timestamp: kept('timestamp'),
    snapshot: kept('snapshot'),
    targets: kept('targets'),
  };
  return { updater, metadata };
}

/** What a region's keys signed about its sites. */
interface Region {
  name: string;
  targets: Targets;
  bytes: Uint8Array;
}

/** The list of the region that the site was delegated to (TUF §5.6.7), verified; null when the top-level role speaks for it. */
async function loadRegion(
  updater: Updater,
  fetcher: LocalFetcher,
  staging: string,
  targets: Targets,
  site: string,
): Promise<Region | null> {
  const regionOf = readDelegations(targets);
  const target = siteTargetName(site);
  const name = regionOf.get(target);
  if (name === undefined) return null;
  try {
    await updater.getTargetInfo(target);
  } catch (error) {
    throw updateFailure(error, fetcher.failure);
  }
  const bytes = readStaged(staging, name);
  return { name, targets: readRegion(bytes, name, regionOf), bytes };
}

function readStaged(staging: string, role: string): Uint8Array {
  return new Uint8Array(readFileSync(join(staging, `${role}.json`)));
}

function versionsOf(metadata: MetadataBytes): VerifiedUpdate['versions'] {
  const version = (role: Role): number => {
    const { signed } = JSON.parse(Buffer.from(metadata[role]).toString('utf8')) as {
      signed: { version: number };
    };
    if (!Number.isSafeInteger(signed.version) || signed.version < 1)
      throw notAccepted('update.malformed', `its ${role} file has no proper version`);
    return signed.version;
  };
  return {
    root: version('root'),
    timestamp: version('timestamp'),
    snapshot: version('snapshot'),
    targets: version('targets'),
  };
}

/** The earliest expiry of verified metadata. */
function expiresAt(files: readonly Uint8Array[]): string {
  const instants = files.map((bytes) => {
    const { signed } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { signed: { expires: string } };
    return Date.parse(signed.expires);
  });
  const first = Math.min(...instants);
  if (!Number.isFinite(first))
    throw notAccepted('update.malformed', 'its metadata does not say when it expires');
  return new Date(first).toISOString();
}

/** The chain of roots from the pinned one on, so that others can walk it from the same pin. */
function rootFiles(
  fetcher: LocalFetcher,
  pinnedBytes: Uint8Array,
  from: number,
  to: number,
): [string, Uint8Array][] {
  const files: [string, Uint8Array][] = [[`metadata/${from}.root.json`, pinnedBytes]];
  for (let version = from + 1; version <= to; version++) {
    const bytes = fetcher.roots.get(version);
    if (bytes !== undefined) files.push([`metadata/${version}.root.json`, bytes]);
  }
  return files;
}

function metadataFiles(
  metadata: MetadataBytes,
  versions: VerifiedUpdate['versions'],
): [string, Uint8Array][] {
  return [
    ['metadata/timestamp.json', metadata.timestamp],
    [`metadata/${versions.snapshot}.snapshot.json`, metadata.snapshot],
    [`metadata/${versions.targets}.targets.json`, metadata.targets],
  ];
}

/** Digest over the metadata digests: they bind every target by hash, so nothing else is needed. */
function updateIdOf(metadata: MetadataBytes, region: Region | null): string {
  return sha256Hex(
    canonicalText({
      ...(region === null ? {} : { region: sha256Hex(region.bytes) }),
      root: sha256Hex(metadata.root),
      snapshot: sha256Hex(metadata.snapshot),
      targets: sha256Hex(metadata.targets),
      timestamp: sha256Hex(metadata.timestamp),
    }),
  );
}
