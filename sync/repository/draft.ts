import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Metadata, type Root, type TargetFile, type Targets } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { bundlesNamed, parseSiteTarget, type SiteTarget } from '../../daemon/formats/site-target.ts';
import { readBounded } from '../../daemon/host/durable-file.ts';
import type { RoleName } from './keys.ts';
import { expiry, type Lifetimes } from './metadata.ts';
import { writeTarget } from './publish.ts';
import { repositoryDir } from './publisher.ts';
import { buildRoot, buildTargets, type Region, type RoleKeys, regionsOf } from './roles.ts';
import { readSettings, stagingDir } from './settings.ts';
import {
  discardParts,
  isSigned,
  isStaging,
  readStagedTarget,
  readStaging,
  type StagedFile,
  stagedFiles,
  writeParts,
} from './staging.ts';
import { profileOf, type RepositoryState, readState, targetPath } from './state.ts';

const TARGET_MAX_BYTES = 4_000_000;

/** The next metadata while it is being thought up: nothing of it is signed, and several changes may go into one. */
export interface Draft {
  /** The publisher's directory. */
  dir: string;
  /** What readers have now; null before the first publication. */
  before: RepositoryState | null;
  lifetimes: Lifetimes;
  now: number;
  /** Null: stays as it is. */
  root: Root | null;
  targets: Targets | null;
  regions: Map<string, Targets>;
  /** New target files by name. */
  files: Map<string, Uint8Array>;
}

/**
 * Opens what is staged for more changes, or starts afresh. Throws BoundaryError `staging.signed` when somebody has signed
 * it already: their signature would be lost.
 */
export function openDraft(dir: string, now: number): Draft {
  const { lifetimes } = readSettings(dir);
  const repository = repositoryDir(dir);
  const before = existsSync(join(repository, 'metadata', 'timestamp.json')) ? readState(repository) : null;
  const draft: Draft = {
    dir,
    before,
    lifetimes,
    now,
    root: null,
    targets: null,
    regions: new Map(),
    files: new Map(),
  };
  if (!isStaging(stagingDir(dir))) return draft;
  const staged = readStaging(stagingDir(dir));
  if (isSigned(staged))
    throw new BoundaryError(
      'staging.signed',
      'What is staged has signatures already, which a change would void; nothing was changed. Finish it with "repo finish", or drop it with "repo discard".',
      { at: stagingDir(dir) },
    );
  draft.root = staged.root?.signed ?? null;
  draft.targets = staged.targets?.signed ?? null;
  for (const [name, region] of staged.regions) draft.regions.set(name, region.signed);
  return draft;
}

/** The root as it will stand. */
export function draftRoot({ root, before }: Draft): Root {
  return root ?? before?.root.signed ?? missing();
}

/** The top-level targets as they will stand. */
export function draftTargets({ targets, before }: Draft): Targets {
  return targets ?? before?.targets.signed ?? missing();
}

/** A region's list as it will stand; null for one that never signed. */
export function draftRegion({ regions, before }: Draft, name: string): Targets | null {
  return regions.get(name) ?? before?.regions.get(name)?.signed ?? null;
}

/** Puts another root into the draft. */
export function putRoot(draft: Draft, roles: Record<RoleName, RoleKeys>): void {
  draft.root = buildRoot({
    version: (draft.before?.root.signed.version ?? 0) + 1,
    expires: expiry(draft.now, draft.lifetimes.root),
    roles,
    profile: draft.before === null ? null : profileOf(draft.before.root),
  });
}

/** Puts other top-level targets or regions into the draft; what is left out stays. */
export function putTargets(
  draft: Draft,
  change: { targets?: Readonly<Record<string, TargetFile>>; regions?: readonly Region[] } = {},
): void {
  const now = draft.targets ?? draft.before?.targets.signed;
  draft.targets = buildTargets({
    version: (draft.before?.targets.signed.version ?? 0) + 1,
    expires: expiry(draft.now, draft.lifetimes.targets),
    targets: change.targets ?? now?.targets ?? {},
    regions: change.regions ?? (now === undefined ? [] : regionsOf(now)),
  });
}

/** Puts a region's list into the draft. */
export function putRegion(draft: Draft, name: string, targets: Readonly<Record<string, TargetFile>>): void {
  // A region that was dissolved and comes back goes on counting: readers never accept a lower version (TUF §5.5.5).
  const last = draft.before?.snapshot.signed.meta[`${name}.json`]?.version ?? 0;
  draft.regions.set(
    name,
    buildTargets({
      version: last + 1,
      expires: expiry(draft.now, draft.lifetimes.targets),
      targets,
      regions: [],
    }),
  );
}

/** Writes the draft to the staging area, with what it replaces. Returns what is to be signed. */
export function saveDraft(draft: Draft): StagedFile[] {
  const dir = stagingDir(draft.dir);
  const { before } = draft;
  const parts = {
    root: draft.root === null ? null : new Metadata(draft.root),
    targets: draft.targets === null ? null : new Metadata(draft.targets),
    regions: new Map([...draft.regions].map(([name, targets]) => [name, new Metadata(targets)])),
  };
  // An earlier draft may hold a region that this one dissolves.
  discardParts(dir);
  writeParts(dir, parts);
  for (const [name, bytes] of draft.files) writeTarget(dir, name, bytes);
  if (before !== null) {
    const regions = [...before.regions].filter(([name]) => draft.regions.has(name));
    writeParts(join(dir, 'before'), {
      root: before.root,
      targets: before.targets,
      regions: new Map(regions),
    });
    for (const [name, bytes] of replaced(draft, before)) writeTarget(join(dir, 'before'), name, bytes);
  }
  return stagedFiles(parts);
}

/** A site's file as it will stand; null when it has none. */
export function draftSiteFile(draft: Draft, name: string, list: Targets | null): SiteTarget | null {
  const info = list === null || !Object.hasOwn(list.targets, name) ? undefined : list.targets[name];
  return info === undefined ? null : parseSiteTarget(readDraftTarget(draft, name, info));
}

function readDraftTarget(draft: Draft, name: string, info: TargetFile): Uint8Array {
  return (
    draft.files.get(name) ??
    readStagedTarget(stagingDir(draft.dir), name, info) ??
    readInForce(draft, name, info)
  );
}

/** Files in force that the words about a changed site need: its old file, and every bundle that its old or new one names. */
function replaced(draft: Draft, before: RepositoryState): Map<string, Uint8Array> {
  const old = listedBy(before);
  const files = new Map<string, Uint8Array>();
  const keep = (name: string): void => {
    const info = old.get(name);
    if (info !== undefined) files.set(name, readInForce(draft, name, info));
  };
  const lists: (readonly [Targets | null, Targets | undefined])[] = [
    [draft.targets, before.targets.signed],
    ...[...draft.regions].map(([name, list]) => [list, before.regions.get(name)?.signed] as const),
  ];
  for (const [list, former] of lists) {
    for (const [name, info] of Object.entries(list?.targets ?? {})) {
      if (!name.startsWith('sites/') || info.hashes.sha256 === former?.targets[name]?.hashes.sha256) continue;
      keep(name);
      const oldBytes = files.get(name);
      const sites = [
        draftSiteFile(draft, name, list),
        oldBytes === undefined ? null : parseSiteTarget(oldBytes),
      ];
      for (const [, { path }] of sites.flatMap((site) => (site === null ? [] : bundlesNamed(site))))
        keep(path);
    }
  }
  return files;
}

/** Every target that readers can find now, whoever signed for it. */
function listedBy({ targets, regions }: RepositoryState): Map<string, TargetFile> {
  const lists = [...regions.values(), targets].map(({ signed }) => signed.targets);
  return new Map(lists.flatMap((list) => Object.entries(list)));
}

function readInForce(draft: Draft, name: string, info: TargetFile): Uint8Array {
  const path = targetPath(repositoryDir(draft.dir), name, info.hashes.sha256 ?? '');
  return readBounded(path, TARGET_MAX_BYTES);
}

function missing(): never {
  throw new BoundaryError(
    'repository.missing',
    'There is no repository yet and none is staged; nothing was done. Start with "repo init".',
  );
}
