import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Metadata, MetadataKind, type Root, type Targets } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import {
  bundlesNamed,
  isTargetName,
  parseSiteTarget,
  type SiteTarget,
} from '../../daemon/formats/site-target.ts';
import { makeDir, writeDurable } from '../../daemon/host/durable-file.ts';
import { type Chain, currentChain, signChain } from './chain.ts';
import { repositoryDir } from './publisher.ts';
import { keyName, regionsOf } from './roles.ts';
import { readSettings, stagingDir } from './settings.ts';
import { isMet, type Progress, progressOf, signedText } from './signatures.ts';
import {
  discardStaging,
  readStagedTarget,
  readStaging,
  type SignedParts,
  type StagedFile,
  type Staging,
  stagedFiles,
} from './staging.ts';
import { formatMetadata, type RepositoryState, readSiteFile, readState, targetPath } from './state.ts';

/** What a finished ceremony adds to the repository, in the order in which it is written. */
export interface Publication {
  /** Repository file name to bytes. Written from the first to the last; what readers start from comes last. */
  files: ReadonlyMap<string, Uint8Array>;
  versions: { root: number; targets: number; snapshot: number; timestamp: number };
}

/**
 * Puts a ceremony's result together, without writing anything: all thresholds met → nobody published meanwhile →
 * snapshot and timestamp signed by the online keys → an order of writing under which every reader finds a whole
 * repository. Throws BoundaryError `finish.not_signed`, `finish.outdated`, `chain.*`.
 */
export function composePublication(
  dir: string,
  { signers, now }: { signers: readonly NoteSigner[]; now: number },
): Publication {
  const repository = repositoryDir(dir);
  const state = existsSync(join(repository, 'metadata', 'timestamp.json')) ? readState(repository) : null;
  // What counts as "before" here is the repository itself: a staging area that travelled may say anything.
  const staging = {
    ...readStaging(stagingDir(dir)),
    before: state ?? { root: null, targets: null, regions: new Map() },
  };
  assertSigned(progressOf(staging));
  const fresh = notYetPublished(staging, state);
  const root = staging.root ?? state?.root ?? missing();
  const targets = staging.targets ?? state?.targets ?? missing();
  assertUnused(staging, repository, state, targets);
  const chain = signChain({
    root,
    targets: fresh.targets,
    regions: fresh.regions,
    before: state === null ? null : currentChain(state),
    signers,
    lifetimes: readSettings(dir).lifetimes,
    now,
  });
  const file = ({ file: name, metadata }: StagedFile): [string, Uint8Array] => [
    name,
    formatMetadata(metadata),
  ];
  const roots = stagedFiles({ ...fresh, targets: null, regions: new Map() }).map(file);
  const files = new Map([
    ...targetFiles(staging.dir, repository, fresh),
    ...stagedFiles({ ...fresh, root: null }).map(file),
    [`metadata/${chain.snapshot.version}.snapshot.json`, chain.snapshot.bytes] as const,
    ...inOrder(roots, ['metadata/timestamp.json', chain.timestamp.bytes], staging, state, targets, chain),
  ]);
  return {
    files,
    versions: {
      root: root.signed.version,
      targets: targets.signed.version,
      snapshot: chain.snapshot.version,
      timestamp: chain.timestamp.version,
    },
  };
}

/**
 * Writes what `composePublication` made, each file whole and durably, then drops the staging area. Cut short anywhere,
 * readers have the old repository or the new one, and finishing again completes it.
 */
export function writePublication(dir: string, { files }: Publication): void {
  const repository = repositoryDir(dir);
  for (const [name, bytes] of files) {
    const parts = name.split('/').slice(0, -1);
    makeDir(repository, 0o755);
    for (let depth = 1; depth <= parts.length; depth++)
      makeDir(join(repository, ...parts.slice(0, depth)), 0o755);
    writeDurable(join(repository, name), bytes, 0o644);
  }
  makeDir(join(repository, 'targets'), 0o755);
  discardStaging(stagingDir(dir));
}

/**
 * Two names are seen by readers that hold older ones: the next root and the timestamp. Whichever goes first, a reader in
 * between has old with new; so the order is one under which that pair is valid. After a change of all keys of a role
 * none is: then the root goes first, and readers in that instant refuse and come back.
 */
function inOrder(
  root: [string, Uint8Array][],
  timestamp: [string, Uint8Array],
  staging: Staging,
  state: RepositoryState | null,
  targets: Metadata<Targets>,
  chain: Chain,
): [string, Uint8Array][] {
  const rootFirst = [...root, timestamp];
  if (staging.root === null || state === null) return rootFirst;
  if (accepts(staging.root, currentChain(state), state.targets)) return rootFirst;
  return accepts(state.root, chain, targets) ? [timestamp, ...root] : rootFirst;
}

function accepts(root: Metadata<Root>, chain: Chain, targets: Metadata<Targets>): boolean {
  try {
    root.verifyDelegate(MetadataKind.Timestamp, chain.timestamp.metadata);
    root.verifyDelegate(MetadataKind.Snapshot, chain.snapshot.metadata);
    root.verifyDelegate(MetadataKind.Targets, targets);
    return true;
  } catch {
    return false;
  }
}

function assertSigned(progress: readonly Progress[]): void {
  const open = progress.flatMap(({ file, requirements }) =>
    requirements
      .filter((requirement) => !isMet(requirement))
      .map((requirement) => ({ file, ...requirement })),
  );
  if (open.length === 0) return;
  const missing = open.map(({ file, by, threshold, signed, keys }) => {
    const others = keys.filter((key) => !signed.includes(key)).map(keyName);
    return `${file} has ${signed.length} of ${threshold} signatures for ${by} (still to ask: ${others.join(', ')})`;
  });
  throw new BoundaryError(
    'finish.not_signed',
    `Not enough have signed, so nothing was published: ${missing.join('; ')}.`,
  );
}

/**
 * What is staged without what is published already (finishing was cut short; those files stay as they are). Throws
 * BoundaryError `finish.outdated` when something does not follow what is published.
 */
function notYetPublished(staging: Staging, state: RepositoryState | null): SignedParts {
  const fresh = stagedFiles(staging).filter(({ role, file, metadata }) => {
    const now = state === null ? null : inForce(state, role);
    const listed = state?.snapshot.signed.meta[`${role}.json`]?.version ?? 0;
    const version = now?.signed.version ?? listed;
    if (now !== null && metadata.signed.version === version && signedText(now) === signedText(metadata))
      return false;
    if (metadata.signed.version === version + 1) return true;
    throw new BoundaryError(
      'finish.outdated',
      `${file} does not follow what is published now (version ${version}); nothing was published. Drop it with "repo discard" and propose it again.`,
    );
  });
  const has = (role: string): boolean => fresh.some((file) => file.role === role);
  return {
    root: has('root') ? staging.root : null,
    targets: has('targets') ? staging.targets : null,
    regions: new Map([...staging.regions].filter(([name]) => has(name))),
  };
}

function inForce(state: RepositoryState, role: string): Metadata<Root> | Metadata<Targets> | null {
  if (role === 'root') return state.root;
  if (role === 'targets') return state.targets;
  return state.regions.get(role) ?? null;
}

/**
 * Whoever made the staging area chose what leaves the list. A site whose bundle is gone would refuse this and everything
 * after it. Throws BoundaryError `finish.bundle_in_use`.
 */
function assertUnused(
  staging: Staging,
  repository: string,
  state: RepositoryState | null,
  targets: Metadata<Targets>,
): void {
  const before = Object.keys(state?.targets.signed.targets ?? {});
  const gone = new Set(before.filter((name) => !Object.hasOwn(targets.signed.targets, name)));
  if (state === null || gone.size === 0) return;
  const regions = regionsOf(targets.signed).map(
    ({ name }) => staging.regions.get(name) ?? state.regions.get(name),
  );
  for (const { signed } of [targets, ...regions.filter((region) => region !== undefined)]) {
    for (const name of Object.keys(signed.targets).filter((one) => one.startsWith('sites/'))) {
      const site = siteFile(staging, repository, signed, name);
      const used = site === null ? undefined : bundlesNamed(site).find(([, { path }]) => gone.has(path));
      if (used === undefined) continue;
      const [environment, { path }] = used;
      throw new BoundaryError(
        'finish.bundle_in_use',
        `${path} is no longer listed, and ${environment} of ${site?.site} has it; nothing was published. Drop the staging area with "repo discard", and ask whoever made it why.`,
      );
    }
  }
}

function siteFile(staging: Staging, repository: string, list: Targets, name: string): SiteTarget | null {
  const info = list.targets[name];
  const staged = info === undefined ? null : readStagedTarget(staging.dir, name, info);
  return staged === null ? readSiteFile(repository, list, name) : parseSiteTarget(staged);
}

/** New target files, each checked against the list that names it. */
function targetFiles(staging: string, repository: string, fresh: SignedParts): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const list of [fresh.targets, ...fresh.regions.values()]) {
    for (const [name, info] of Object.entries(list?.signed.targets ?? {})) {
      // The name becomes a path.
      if (!isTargetName(name))
        throw new BoundaryError(
          'finish.bad_name',
          `A list names ${JSON.stringify(name.slice(0, 200))}, which no repository of ours holds; nothing was published. Drop the staging area with "repo discard", and ask whoever made it why.`,
        );
      const path = targetPath('', name, info.hashes.sha256 ?? '');
      if (existsSync(join(repository, path))) continue;
      const bytes = readStagedTarget(staging, name, info);
      if (bytes === null)
        throw new BoundaryError(
          'finish.target_missing',
          `${path} is listed but is neither staged nor published; nothing was published. Drop the staging area with "repo discard" and propose it again.`,
        );
      files.set(path, bytes);
    }
  }
  return files;
}

function missing(): never {
  throw new BoundaryError(
    'finish.incomplete',
    'The first root and targets are not staged; nothing was published.',
  );
}
