import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';

/** Refuses a path that is taken or leads nowhere, before anything is asked: an answer never replaces a file. */
export function assertFree(path: string): void {
  if (existsSync(path)) {
    throw new BoundaryError(
      'file.exists',
      `${path} exists and is not overwritten; nothing was done. Name another file.`,
      { at: path },
    );
  }
  const directory = dirname(resolve(path));
  if (!existsSync(directory)) {
    throw new BoundaryError(
      'file.no_directory',
      `There is no directory ${directory} to write to; nothing was done. Create it first, or name another file.`,
      { at: path },
    );
  }
}

/**
 * Writes a file that must not exist yet, with `mode` less the umask. Where the disk refuses, what was begun is removed, so that
 * the same command can be repeated. Throws the system's error, always with the path.
 */
export function writeNew(path: string, content: string | Uint8Array, mode = 0o600): void {
  const file = openSync(path, 'wx', mode);
  try {
    try {
      writeFileSync(file, content);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    removeWritten([path]);
    throw error instanceof Error ? Object.assign(error, { path }) : error;
  }
}

/** Removes what a command wrote just now and nobody was told of; what cannot be removed is for the retry to name. */
export function removeWritten(paths: readonly string[]): void {
  for (const path of paths)
    try {
      unlinkSync(path);
    } catch {
      // The failure that came first is the one to report.
    }
}
