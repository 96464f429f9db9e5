import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Metadata, Root, Targets } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { isRegionName } from '../../daemon/formats/site-target.ts';
import { makeDir, readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
import { formatMetadata, readRootMetadata, readTargetsMetadata, targetPath } from './state.ts';

/*
 * What is to be signed, as plain files that travel: `metadata/` and `targets/` as they will stand in the repository,
 * signatures added in place, and `before/` with what they replace, so that a signer far from the repository sees changes.
 */

const DIR_MODE = 0o755;
const FILE_MODE = 0o644;
const MAX_FILES = 1_100;
const STAGED_NAME = /^([1-9][0-9]{0,8})\.([a-z][a-z0-9_-]{0,63})\.json$/;

/** The parts of a repository that people sign. */
export interface SignedParts {
  root: Metadata<Root> | null;
  targets: Metadata<Targets> | null;
  regions: ReadonlyMap<string, Metadata<Targets>>;
}

/** A staging area. What is null there stays as it is in the repository. */
export interface Staging extends SignedParts {
  dir: string;
  before: SignedParts;
}

/** One file to be signed. */
export interface StagedFile {
  /** `root`, `targets` or a region. */
  role: string;
  /** `metadata/3.targets.json`. */
  file: string;
  metadata: Metadata<Root> | Metadata<Targets>;
}

/** Whether something waits to be signed in `dir`. */
export function isStaging(dir: string): boolean {
  return lstatSync(join(dir, 'metadata'), { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Reads a staging area. Throws BoundaryError `staging.missing`, `staging.confusing`, `repository.damaged`, `file.*`. */
export function readStaging(dir: string): Staging {
  if (!isStaging(dir))
    throw new BoundaryError(
      'staging.missing',
      `Nothing waits to be signed in ${dir}. Make something with "repo publish", "repo rotate" or "repo delegate" first.`,
      { at: dir },
    );
  const before = join(dir, 'before');
  return { dir, ...readParts(dir), before: isStaging(before) ? readParts(before) : nothing() };
}

/** All files to be signed: root, targets, then regions by name. */
export function stagedFiles({ root, targets, regions }: SignedParts): StagedFile[] {
  const named: [string, Metadata<Root> | Metadata<Targets> | null][] = [
    ['root', root],
    ['targets', targets],
    ...[...regions].sort(([a], [b]) => (a < b ? -1 : 1)),
  ];
  return named.flatMap(([role, metadata]) =>
    metadata === null ? [] : [{ role, file: `metadata/${metadata.signed.version}.${role}.json`, metadata }],
  );
}

/** Whether anybody has signed anything there. */
export function isSigned(parts: SignedParts): boolean {
  return stagedFiles(parts).some(({ metadata }) => Object.keys(metadata.signatures).length > 0);
}

/** Writes metadata files of a staging area (or of its `before`), durably. */
export function writeParts(dir: string, parts: SignedParts): void {
  makeDir(dir, DIR_MODE);
  makeDir(join(dir, 'metadata'), DIR_MODE);
  for (const { file, metadata } of stagedFiles(parts))
    writeDurable(join(dir, file), formatMetadata(metadata), FILE_MODE);
}

/** Forgets the staged metadata, and what it replaces; staged targets stay. */
export function discardParts(dir: string): void {
  for (const name of ['metadata', 'before']) rmSync(join(dir, name), { recursive: true, force: true });
}

/** Forgets everything staged. */
export function discardStaging(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}

/**
 * A target's bytes as the signed list names it, from the staging area or from what it replaces; null when neither holds
 * it. Throws BoundaryError `staging.target_differs` when the file is not the one that the list names.
 */
export function readStagedTarget(
  dir: string,
  name: string,
  info: Targets['targets'][string],
): Uint8Array | null {
  const digest = info.hashes.sha256 ?? '';
  if (!/^[0-9a-f]{64}$/.test(digest)) return null;
  const path = [dir, join(dir, 'before')]
    .map((base) => targetPath(base, name, digest))
    .find((p) => existsSync(p));
  if (path === undefined) return null;
  const bytes = readBounded(path, info.length);
  if (bytes.length !== info.length || sha256Hex(bytes) !== digest)
    throw new BoundaryError(
      'staging.target_differs',
      `${path} is not the file that is to be signed; nothing was signed. Get the staging area again from whoever made it.`,
      { at: path },
    );
  return bytes;
}

function nothing(): SignedParts {
  return { root: null, targets: null, regions: new Map() };
}

function readParts(dir: string): SignedParts {
  const names = readdirSync(join(dir, 'metadata'));
  const found = new Map<string, string>();
  for (const name of names.slice(0, MAX_FILES)) {
    const role = STAGED_NAME.exec(name)?.[2];
    if (role === undefined || !(role === 'root' || role === 'targets' || isRegionName(role))) continue;
    // Two versions of one role side by side: nobody could tell which one is meant.
    if (found.has(role)) throw confusing(dir, `${name} and ${found.get(role)}`);
    found.set(role, name);
  }
  if (names.length > MAX_FILES) throw confusing(dir, `${names.length} files`);
  const path = (name: string): string => join(dir, 'metadata', name);
  const root = found.get('root');
  const targets = found.get('targets');
  const parts: SignedParts = {
    root: root === undefined ? null : readRootMetadata(path(root)),
    targets: targets === undefined ? null : readTargetsMetadata(path(targets)),
    regions: new Map(
      [...found]
        .filter(([role]) => isRegionName(role))
        .map(([role, name]) => [role, readTargetsMetadata(path(name))]),
    ),
  };
  for (const { file } of stagedFiles(parts))
    if (!existsSync(join(dir, file))) throw confusing(dir, `a file whose name is not its version, ${file}`);
  return parts;
}

function confusing(dir: string, what: string): BoundaryError {
  return new BoundaryError(
    'staging.confusing',
    `${dir} holds ${what}; nothing was done. Get the staging area again from whoever made it, or "repo discard" it.`,
    { at: dir },
  );
}
