import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TargetFile, Targets } from '@tufjs/models';
import { bundlesNamed, type SiteTarget } from '../../daemon/formats/site-target.ts';
import { syncDir } from '../../daemon/host/durable-file.ts';
import {
  type Draft,
  draftRegion,
  draftSiteFile,
  draftTargets,
  openDraft,
  putTargets,
  saveDraft,
} from './draft.ts';
import { rememberDropped } from './dropped.ts';
import { publishListFrom, repositoryDir } from './publisher.ts';
import { isByCeremony, readSettings } from './settings.ts';
import type { StagedFile } from './staging.ts';
import { type RepositoryState, readSiteFile, readState, targetPath } from './state.ts';

/*
 * A repository only grows by publishing, and readers have limits. What no site's file names any more is taken off the list,
 * which the targets keys sign; what nothing published names any more is removed from the disk, which nobody needs to sign.
 */

/** A reader that began with the timestamp of before goes on with the files that it names. */
const GRACE_MS = 86_400_000;
/** Names that only a repository of ours gives its files. Whatever else lies there is not touched. */
const OWN = [
  /^metadata\/[1-9][0-9]*\.(?!root\.)[a-z][a-z0-9_-]{0,63}\.json$/,
  /^targets\/(?:bundles|sites)\/(?:[a-z0-9][a-z0-9._-]*\/)*[0-9a-f]{64}\.[a-z0-9._-]+\.json$/,
];

/** A listed bundle that no site has any more. */
export interface UnusedBundle {
  /** Target name. */
  name: string;
  bytes: number;
}

/** A file on the disk that nothing published leads to. */
export interface LeftFile {
  /** Name in the repository. */
  name: string;
  bytes: number;
}

/** What there is to be dropped. */
export interface Leftovers {
  bundles: UnusedBundle[];
  files: LeftFile[];
}

/**
 * What could go: off the list as it will stand, and from the disk. Changes nothing. Throws BoundaryError `staging.signed`,
 * `repository.*`.
 */
export function leftoversOf(dir: string, now: number): Leftovers {
  const repository = repositoryDir(dir);
  // Says what is missing where this is no publisher's directory.
  if (!existsSync(join(repository, 'metadata', 'timestamp.json'))) {
    readSettings(dir);
    return { bundles: [], files: [] };
  }
  const state = readState(repository);
  const published = listsOf(state).flatMap((list) =>
    siteFiles(list, (name) => readSiteFile(repository, list, name)),
  );
  const staged = isByCeremony(dir) ? openDraft(dir, now) : null;
  const next = staged === null ? [] : draftFiles(staged);
  const used = new Set([...published, ...next].flatMap(bundlesNamed).map(([, { path }]) => path));
  const { targets } = staged === null ? state.targets.signed : draftTargets(staged);
  const bundles = Object.values(targets)
    .filter(({ path }) => path.startsWith('bundles/') && !used.has(path))
    .map(({ path, length }) => ({ name: path, bytes: length }));
  return { bundles, files: leftFiles(repository, state, now) };
}

/**
 * Proposes a list without these bundles, to be signed as any other. Their digests stay in the publisher's books: a version
 * is published once. Throws BoundaryError `staging.signed`.
 */
export function proposePrune(dir: string, names: readonly string[], now: number): StagedFile[] {
  const draft = openDraft(dir, now);
  const { targets } = draftTargets(draft);
  rememberDropped(dir, digestsOf(targets, names));
  putTargets(draft, { targets: without(targets, names) });
  return saveDraft(draft);
}

/** The same at once, with the keys of a dev publisher. */
export function pruneAtOnce(dir: string, names: readonly string[], now: number): void {
  const { targets } = readState(repositoryDir(dir)).targets.signed;
  rememberDropped(dir, digestsOf(targets, names));
  publishListFrom(dir, without(targets, names), now);
}

/** Removes files that `leftoversOf` named, durably. */
export function removeFiles(dir: string, names: readonly string[]): void {
  const repository = repositoryDir(dir);
  for (const name of names) rmSync(join(repository, name), { force: true });
  for (const folder of new Set(names.map(dirname))) syncDir(join(repository, folder));
}

function listsOf({ targets, regions }: RepositoryState): Targets[] {
  return [targets.signed, ...[...regions.values()].map(({ signed }) => signed)];
}

/** Sites' files as they will stand. */
function draftFiles(draft: Draft): SiteTarget[] {
  const regions = new Set([...draft.regions.keys(), ...(draft.before?.regions.keys() ?? [])]);
  const lists = [draftTargets(draft), ...[...regions].map((name) => draftRegion(draft, name))];
  return lists.flatMap((list) => siteFiles(list, (name) => draftSiteFile(draft, name, list)));
}

function siteFiles(list: Targets | null, read: (name: string) => SiteTarget | null): SiteTarget[] {
  const names = Object.keys(list?.targets ?? {}).filter((name) => name.startsWith('sites/'));
  return names.flatMap((name) => read(name) ?? []);
}

/** Files of ours that no reader who starts now is led to, and that no reader can still be on the way to. */
function leftFiles(repository: string, state: RepositoryState, now: number): LeftFile[] {
  const named = namedFiles(state);
  const mtime = (name: string): number => lstatSync(join(repository, name)).mtimeMs;
  const all = ['metadata', 'targets'].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(repository.length + 1)),
  );
  const lists = [...named].filter((name) => isMetadata(name) && !name.endsWith('.snapshot.json'));
  const listsSince = Math.max(...lists.map(mtime));
  const later = laterVersions(all);
  return all
    .filter((name) => !named.has(name) && OWN.some((shape) => shape.test(name)))
    .filter((name) => {
      const next = later.get(name);
      const unnamedSince = isMetadata(name) && next !== undefined ? mtime(next) : listsSince;
      return unnamedSince <= now - GRACE_MS;
    })
    .map((name) => ({ name, bytes: lstatSync(join(repository, name)).size }));
}

/** To each file of metadata the one that came after it: since then at the latest nobody is led to it. */
function laterVersions(names: readonly string[]): Map<string, string> {
  const versions = new Map<string, { version: number; name: string }[]>();
  for (const name of names) {
    const [, version, role] = /^metadata\/([1-9][0-9]*)\.(.+)\.json$/.exec(name) ?? [];
    if (role === undefined) continue;
    const files = versions.get(role) ?? [];
    files.push({ version: Number(version), name });
    versions.set(role, files);
  }
  const later = new Map<string, string>();
  for (const files of versions.values()) {
    files.sort((a, b) => a.version - b.version);
    for (const [index, { name }] of files.entries()) {
      const next = files[index + 1];
      if (next !== undefined) later.set(name, next.name);
    }
  }
  return later;
}

function isMetadata(name: string): boolean {
  return name.startsWith('metadata/');
}

/** What a reader needs who has any root from the first on (TUF §5.3): roots are not among `OWN`, and stay. */
function namedFiles(state: RepositoryState): Set<string> {
  const { timestamp, snapshot } = state;
  const lists = Object.entries(snapshot.signed.meta).map(
    ([file, { version }]) => `metadata/${version}.${file}`,
  );
  const targets = listsOf(state).flatMap((list) =>
    Object.entries(list.targets).map(([name, { hashes }]) => targetPath('', name, hashes.sha256 ?? '')),
  );
  return new Set([`metadata/${timestamp.signed.snapshotMeta.version}.snapshot.json`, ...lists, ...targets]);
}

function without(
  targets: Readonly<Record<string, TargetFile>>,
  names: readonly string[],
): Record<string, TargetFile> {
  const gone = new Set(names);
  return Object.fromEntries(Object.entries(targets).filter(([name]) => !gone.has(name)));
}

function digestsOf(
  targets: Readonly<Record<string, TargetFile>>,
  names: readonly string[],
): Map<string, string> {
  return new Map(names.map((name) => [name, targets[name]?.hashes.sha256 ?? '']));
}
