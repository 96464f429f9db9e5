import { chmodSync, readdirSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDir, writeDurable } from '../host/durable-file.ts';
import {
  closeQuietly,
  fromMedium,
  type Medium,
  mediumFailed,
  openDirectory,
  openFile,
  realMedium,
  refuseMedium,
} from './medium.ts';
import { stageRepository } from './staging.ts';

/** The folder by which a medium asks for what the site has to send. */
export const EXPORT_MARK = 'holdfast-export';

/** What a publisher calls its repository. */
const REPOSITORY = 'repository';
/** Beside a repository: flat folders of small signed files. */
const FOLDERS = ['acknowledgements', 'cosignatures'] as const;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
const MAX_NAMES = 10_000;
const MAX_FILES = 2_000;
const MAX_BYTES = 65_536;

/**
 * Copies what a medium brings (repository, acknowledgements, cosignatures) into `area`, bounded, regular files only, so that
 * the medium may be pulled before anything is judged, and the judge never reads the medium itself. The copy can be read by
 * the group of the process; `clearIntake` removes it. Null when the medium brings nothing. Throws BoundaryError `update.*`; then
 * nothing is left.
 */
export async function takeIn(medium: string, area: string, site: string): Promise<string | null> {
  makeDir(area, 0o750);
  try {
    const from = await repositoryOn(medium);
    const dir = await stageRepository({ path: from, area, site });
    for (const place of new Set([from, medium]))
      for (const name of FOLDERS) await copyFolder(realMedium, join(place, name), join(dir, name), name);
    openToGroup(join(area, '.staging'));
    return readdirSync(dir).length > 0 ? dir : null;
  } catch (error) {
    clearIntake(area);
    throw error;
  }
}

export function clearIntake(area: string): void {
  rmSync(area, { recursive: true, force: true });
}

/** Where the repository lies: at the top, or in the folder that copying a repository to a medium makes. */
async function repositoryOn(medium: string): Promise<string> {
  if ((await hasFolder(medium, 'metadata')) || !(await hasFolder(medium, REPOSITORY))) return medium;
  return join(medium, REPOSITORY);
}

/** Whether a medium carries the mark; a file or link of that name is none. */
export function isMarked(medium: string): Promise<boolean> {
  return hasFolder(medium, EXPORT_MARK);
}

async function hasFolder(place: string, name: string): Promise<boolean> {
  const directory = await openDirectory(realMedium, join(place, name), name).catch(() => null);
  if (directory === null) return false;
  await closeQuietly(directory);
  return true;
}

async function copyFolder(medium: Medium, from: string, to: string, at: string): Promise<void> {
  const directory = await openDirectory(medium, from, at);
  if (directory === null) return;
  try {
    makeDir(to, 0o750);
    // Below an open directory names are resolved from its descriptor: no swapped link can lead elsewhere meanwhile.
    const here = `/proc/self/fd/${directory.fd}`;
    for (const name of await filesIn(medium, here, at))
      writeDurable(join(to, name), await contentOf(medium, `${here}/${name}`, `${at}/${name}`), 0o640);
  } finally {
    await closeQuietly(directory);
  }
}

/** Names that could be ours; whatever else lies there is not looked at. */
async function filesIn(medium: Medium, path: string, at: string): Promise<string[]> {
  const names: string[] = [];
  let seen = 0;
  try {
    for await (const entry of medium.list(path)) {
      seen += 1;
      if (entry.isFile() && NAME.test(entry.name)) names.push(entry.name);
      if (seen > MAX_NAMES || names.length > MAX_FILES)
        throw refuseMedium('too_many_files', `${at} holds more than ${MAX_FILES} files`, at);
    }
  } catch (error) {
    throw mediumFailed(error, at);
  }
  return names.sort();
}

async function contentOf(medium: Medium, path: string, at: string): Promise<Uint8Array> {
  const { file } = await openFile(medium, path, at);
  try {
    return await readBounded(medium, file, at);
  } finally {
    await closeQuietly(file);
  }
}

/** Counted as it is read: what `stat` said may be a lie. */
async function readBounded(medium: Medium, file: FileHandle, at: string): Promise<Uint8Array> {
  const buffer = new Uint8Array(MAX_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = await fromMedium(medium.read(file, buffer.subarray(length), length), at);
    if (read === 0) return buffer.slice(0, length);
    length += read;
  }
  throw refuseMedium('file_too_large', `${at} is larger than ${MAX_BYTES} bytes`, at);
}

/** A tree of our own making, in a directory of our own: there are no links in it. */
function openToGroup(dir: string): void {
  chmodSync(dir, 0o750);
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) openToGroup(path);
    else chmodSync(path, 0o640);
  }
}
