import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Updater } from 'tuf-js';
import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { SiteTarget } from '../formats/site-target.ts';
import { notAccepted, updateFailure } from './update-failure.ts';
import { profileOfRoot, ROOT_MAX_BYTES, readRoot } from './update-root.ts';
import { directorySource, filesSource, LocalFetcher, type UpdateSource } from './update-source.ts';
import { readBundles, readSiteTarget, readTargets } from './update-targets.ts';

const LIMITS = {
  maxRootRotations: 256,
  maxDelegations: 1,
  rootMaxLength: ROOT_MAX_BYTES,
  timestampMaxLength: 16_384,
  snapshotMaxLength: 1_000_000,
  targetsMaxLength: 4_000_000,
};

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
    const metadata = await refresh(staging, fetcher, options);
    const root = readRoot(metadata.root);
    const profile = profileOfRoot(root);
    if (profile !== profileOfRoot(pinned))
      throw notAccepted(
        'update.profile',
        'its root changed between a dev publisher and a real one, which no rotation may do',
      );
    const targets = readTargets(metadata.targets);
    const siteTarget = readSiteTarget(source, targets, options.site, profile);
    const bundles = readBundles(source, targets, siteTarget.value);
    const versions = versionsOf(metadata);
    const files = new Map([
      ...rootFiles(fetcher, options.trustedRoot, pinned.version, versions.root),
      ...metadataFiles(metadata, versions),
    ]);
    for (const file of [siteTarget.file, ...bundles.map(({ file }) => file)])
      files.set(file.name, file.bytes);
    return {
      updateId: updateIdOf(metadata),
      versions,
      profile,
      siteTarget: siteTarget.value,
      bundles: new Map(bundles.map(({ digest, file }) => [digest, file.bytes])),
      files,
    };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/**
 * tuf-js has no option for the clock; this sets the reference time that it fixed when it was made (TUF §5.1). Throws
 * when the library no longer keeps it there: then expiry would silently be judged by the machine's clock.
 */
export function setReferenceTime(updater: Updater, now: number): void {
  const trusted: unknown = Reflect.get(updater, 'trustedSet');
  if (
    typeof trusted !== 'object' ||
    trusted === null ||
    !(Reflect.get(trusted, 'referenceTime') instanceof Date)
  ) {
    throw new Error(
      'update: tuf-js keeps its reference time elsewhere; updates cannot be judged by our clock',
    );
  }
  Reflect.set(trusted, 'referenceTime', new Date(now));
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
): Promise<MetadataBytes> {
  try {
    const updater = new Updater({
      metadataDir: staging,
      metadataBaseUrl: LocalFetcher.metadataUrl,
      fetcher,
      config: LIMITS,
    });
    setReferenceTime(updater, expiry === 'enforce' ? now : 0);
    await updater.refresh();
  } catch (error) {
    throw updateFailure(error, fetcher.failure);
  }
  const kept = (role: Role): Uint8Array => new Uint8Array(readFileSync(join(staging, `${role}.json`)));
  return {
    root: kept('root'),
    timestamp: kept('timestamp'),
    snapshot: kept('snapshot'),
    targets: kept('targets'),
  };
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

/** Digest over the four metadata digests: they bind every target by hash, so nothing else is needed. */
function updateIdOf(metadata: MetadataBytes): string {
  return sha256Hex(
    canonicalText({
      root: sha256Hex(metadata.root),
      snapshot: sha256Hex(metadata.snapshot),
      targets: sha256Hex(metadata.targets),
      timestamp: sha256Hex(metadata.timestamp),
    }),
  );
}
