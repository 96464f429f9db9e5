import { join } from 'node:path';
import { ACKNOWLEDGEMENT_MAX_BYTES } from '../formats/acknowledgement.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import {
  closeQuietly,
  fromMedium,
  type Medium,
  mediumFailed,
  openDirectory,
  openFile,
  realMedium,
} from './medium.ts';

/** A file that calls itself an acknowledgement. */
export interface OfferedAcknowledgement {
  /** `DIGEST.json`. */
  name: string;
  /** What its name says that it is about. */
  digest: string;
}

/** Names looked at in one directory: more is not a place where acknowledgements lie. */
const MAX_NAMES = 20_000;
/** For a directory, and for each file. */
const PATIENCE_MS = 15_000;
const NAME = /^([0-9a-f]{64})\.json$/;

/**
 * Names of acknowledgements in a directory that others write: a medium, or the inbox. Whatever else lies there is not
 * looked at. Empty where there is no such directory. Throws BoundaryError `acknowledgement.too_many`, `.medium_failed`,
 * `.file_not_directory`, `.medium_too_slow`.
 */
export function offeredIn(dir: string, medium: Medium = realMedium): Promise<OfferedAcknowledgement[]> {
  return inTime(list(dir, medium), dir);
}

async function list(dir: string, medium: Medium): Promise<OfferedAcknowledgement[]> {
  const directory = await openDirectory(medium, dir, dir);
  if (directory === null) return [];
  const offered: OfferedAcknowledgement[] = [];
  let names = 0;
  try {
    for await (const { name } of medium.list(`/proc/self/fd/${directory.fd}`)) {
      names += 1;
      if (names > MAX_NAMES) throw tooMany(dir);
      const digest = NAME.exec(name)?.[1];
      if (digest !== undefined) offered.push({ name, digest });
    }
  } catch (error) {
    throw mediumFailed(error, dir);
  } finally {
    await closeQuietly(directory);
  }
  return offered.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Text of one acknowledgement; regular files only, links are not followed. Throws BoundaryError `acknowledgement.*`. */
export function readOffered(dir: string, name: string, medium: Medium = realMedium): Promise<string> {
  return inTime(read(dir, name, medium), name);
}

async function read(dir: string, name: string, medium: Medium): Promise<string> {
  const { file, size } = await openFile(medium, join(dir, name), name);
  try {
    if (size > ACKNOWLEDGEMENT_MAX_BYTES) throw tooLarge(name);
    const buffer = Buffer.alloc(size);
    let length = 0;
    while (length < size) {
      const read = await fromMedium(medium.read(file, buffer.subarray(length), length), name);
      if (read === 0) break;
      length += read;
    }
    return buffer.toString('utf8', 0, length);
  } finally {
    await closeQuietly(file);
  }
}

/** A device that hangs is no longer waited for. What it could not do is said of acknowledgements, not of updates. */
async function inTime<T>(step: Promise<T>, at: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(tooSlow(at)), PATIENCE_MS);
  try {
    return await Promise.race([step, late.promise]);
  } catch (error) {
    if (!(error instanceof BoundaryError) || !error.code.startsWith('update.')) throw error;
    const message = error.message.replace(/^The update was not accepted: /, 'Nothing was deleted: ');
    throw new BoundaryError(error.code.replace('update.', 'acknowledgement.'), message, { at, cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function tooSlow(at: string): BoundaryError {
  return new BoundaryError(
    'acknowledgement.medium_too_slow',
    `${at} was not read within ${PATIENCE_MS / 1_000} seconds; nothing more was taken from the medium. Use another one.`,
    { at },
  );
}

function tooMany(dir: string): BoundaryError {
  return new BoundaryError(
    'acknowledgement.too_many',
    `${dir} holds more than ${MAX_NAMES} names; none was looked at and nothing was deleted. Ask headquarters for this site's acknowledgements alone.`,
    { at: dir },
  );
}

function tooLarge(name: string): BoundaryError {
  return new BoundaryError(
    'acknowledgement.too_large',
    `${name} is larger than ${ACKNOWLEDGEMENT_MAX_BYTES} bytes, so it is no acknowledgement; nothing was deleted.`,
    { at: name },
  );
}
