import { constants, type Dirent, type Stats } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode } from '../host/durable-file.ts';

/**
 * What is read from a stick, in single steps, each of which may be the last before it is pulled. Asynchronous: a slow
 * medium must not keep the sockets waiting.
 */
export interface Medium {
  open(path: string, flags: number): Promise<FileHandle>;
  list(path: string): AsyncIterable<Dirent>;
  stat(file: FileHandle): Promise<Stats>;
  /** Bytes read from `position` on; 0 at the end. */
  read(file: FileHandle, buffer: Uint8Array, position: number): Promise<number>;
}

export const realMedium: Medium = {
  open: (path, flags) => open(path, flags),
  async *list(path) {
    yield* await opendir(path);
  },
  stat: (file) => file.stat(),
  read: async (file, buffer, position) => (await file.read(buffer, 0, buffer.length, position)).bytesRead,
};

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Opens a directory that is one; null when there is nothing of that name. Links are not followed. */
export async function openDirectory(medium: Medium, path: string, at: string): Promise<FileHandle | null> {
  try {
    return await medium.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return null;
    if (code !== 'ENOTDIR' && code !== 'ELOOP') throw mediumFailed(error, at);
    throw refuseMedium('file_not_directory', `${at} is not a directory (links are not followed)`, at);
  }
}

/** Opens a regular file and says how long it is. Links, pipes, sockets and devices are refused without being opened for long. */
export async function openFile(
  medium: Medium,
  path: string,
  at: string,
): Promise<{ file: FileHandle; size: number }> {
  let file: FileHandle;
  try {
    file = await medium.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    throw code === 'ELOOP' || code === 'ENXIO' ? notRegular(at) : mediumFailed(error, at);
  }
  try {
    const stat = await fromMedium(medium.stat(file), at);
    if (!stat.isFile()) throw notRegular(at);
    return { file, size: stat.size };
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

/** The step's result, or BoundaryError `update.medium_failed`. */
export async function fromMedium<T>(step: Promise<T>, at: string): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw mediumFailed(error, at);
  }
}

/** What a pulled or broken medium is called; errors that have their name already keep it. */
export function mediumFailed(error: unknown, at: string): BoundaryError {
  if (error instanceof BoundaryError) return error;
  const cause = errorCode(error) ?? 'unknown error';
  return refuseMedium(
    'medium_failed',
    `${at} could not be read (${cause}). Leave the medium in until the import is over, and import again; if it fails again, use another medium`,
    at,
    error,
  );
}

export function notRegular(at: string): BoundaryError {
  return refuseMedium('file_not_regular', `${at} is not a regular file (links are not followed)`, at);
}

/** BoundaryError `update.CODE`: nothing of the medium was used. */
export function refuseMedium(code: string, what: string, at: string, cause?: unknown): BoundaryError {
  return new BoundaryError(`update.${code}`, `The update was not accepted: ${what}.`, { at, cause });
}

/** A medium that is gone cannot even close its files; there is nothing to be done about it. */
export async function closeQuietly(file: FileHandle): Promise<void> {
  await file.close().catch(() => {});
}
