import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  Metadata,
  MetadataKind,
  type Root,
  type Snapshot,
  type Targets,
  type Timestamp,
} from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import {
  isRegionName,
  parseSiteTarget,
  SITE_TARGET_MAX_BYTES,
  type SiteTarget,
} from '../../daemon/formats/site-target.ts';
import { readBounded } from '../../daemon/host/durable-file.ts';

const METADATA_MAX_BYTES = 4_000_000;

/** The metadata that a reader of the repository ends with. */
export interface RepositoryState {
  root: Metadata<Root>;
  timestamp: Metadata<Timestamp>;
  snapshot: Metadata<Snapshot>;
  targets: Metadata<Targets>;
  /** What regions signed about their sites, by region. */
  regions: ReadonlyMap<string, Metadata<Targets>>;
}

/**
 * The publisher's own repository, read along its versions. Not a verification: what lies here is the publisher's word.
 * Throws BoundaryError `repository.damaged`, `file.*`.
 */
export function readState(dir: string): RepositoryState {
  const at = (file: string): string => join(dir, 'metadata', file);
  const root = readRootMetadata(at(`${newestRoot(dir)}.root.json`));
  const timestamp = read(at('timestamp.json'), (json) => Metadata.fromJSON(MetadataKind.Timestamp, json));
  const snapshotVersion = timestamp.signed.snapshotMeta.version;
  const snapshot = read(at(`${snapshotVersion}.snapshot.json`), (json) =>
    Metadata.fromJSON(MetadataKind.Snapshot, json),
  );
  const targetsFile = (role: string): string =>
    at(`${snapshot.signed.meta[`${role}.json`]?.version ?? 0}.${role}.json`);
  const targets = readTargetsMetadata(targetsFile('targets'));
  const names = Object.keys(targets.signed.delegations?.roles ?? {}).filter(isRegionName);
  const signed = names.filter((name) => snapshot.signed.meta[`${name}.json`] !== undefined);
  const regions = new Map(signed.map((name) => [name, readTargetsMetadata(targetsFile(name))]));
  return { root, timestamp, snapshot, targets, regions };
}

/** Version of the newest root in the repository; they are numbered without gaps. */
export function newestRoot(dir: string): number {
  let version = 1;
  while (existsSync(join(dir, 'metadata', `${version + 1}.root.json`))) version++;
  return version;
}

/** A root file. Throws BoundaryError `repository.damaged`, `file.*`. */
export function readRootMetadata(path: string): Metadata<Root> {
  return read(path, (json) => Metadata.fromJSON(MetadataKind.Root, json));
}

/** A targets file, top-level or a region's. Throws BoundaryError `repository.damaged`, `file.*`. */
export function readTargetsMetadata(path: string): Metadata<Targets> {
  return read(path, (json) => Metadata.fromJSON(MetadataKind.Targets, json));
}

/** Metadata as it goes to disk. */
export function formatMetadata(metadata: Metadata<Root | Targets | Snapshot | Timestamp>): Uint8Array {
  return Buffer.from(`${JSON.stringify(metadata.toJSON(), null, 1)}\n`, 'utf8');
}

/** `dev` when a local 1-of-1 publisher made the repository. */
export function profileOf({ signed }: Metadata<Root>): 'dev' | null {
  return signed.unrecognizedFields['x-holdfast-profile'] === 'dev' ? 'dev' : null;
}

/** Where a target lies below a repository: consistent snapshots put the digest before the last part of the name (TUF §6.2). */
export function targetPath(dir: string, name: string, digest: string): string {
  const slash = name.lastIndexOf('/') + 1;
  return join(dir, 'targets', `${name.slice(0, slash)}${digest}.${name.slice(slash)}`);
}

/** The site file that `targets` lists under `name`, from `dir`; null when it lists none. */
export function readSiteFile(dir: string, targets: Targets, name: string): SiteTarget | null {
  const target = Object.hasOwn(targets.targets, name) ? targets.targets[name] : undefined;
  if (target === undefined) return null;
  return parseSiteTarget(
    readBounded(targetPath(dir, name, target.hashes.sha256 ?? ''), SITE_TARGET_MAX_BYTES),
  );
}

function read<T extends Root | Targets | Snapshot | Timestamp>(
  path: string,
  parse: (json: Parameters<typeof Metadata.fromJSON>[1]) => Metadata<T>,
): Metadata<T> {
  const bytes = readBounded(path, METADATA_MAX_BYTES);
  try {
    return parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new BoundaryError(
      'repository.damaged',
      `${path} is not TUF metadata; nothing was published. Restore the repository from a copy.`,
      { at: path, cause },
    );
  }
}
