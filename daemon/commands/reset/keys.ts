import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { syncDir } from '../../host/durable-file.ts';
import { randomBytes } from '../../host/random.ts';
import type { SitePaths } from '../../host/site.ts';
import { identityFile, SITE_ROLES } from '../../identity/files.ts';

const CHUNK = 65_536;

/** Every file of a site that is secret: what signs, what opens values, what its roles show. Paths; none may be missing. */
export function secretFiles(paths: SitePaths): string[] {
  const keys = list(paths.keys);
  const shown = SITE_ROLES.map((role) => identityFile(paths, role));
  return [...keys, ...shown].filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

/**
 * Overwrites each file, then removes it, durably. On flash the old cells may live on where no file shows them: there only the
 * wrapping key, or the encryption of the volume, makes this certain. Throws the system's error; what was done stays done.
 */
export function destroyFiles(files: readonly string[]): void {
  for (const path of files) {
    overwrite(path);
    unlinkSync(path);
    syncDir(dirname(path));
  }
}

function list(directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

/** Links are not followed: it must be this file that is gone. */
function overwrite(path: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    const { size } = fstatSync(fd);
    for (let at = 0; at < size; at += CHUNK) {
      writeSync(fd, randomBytes(Math.min(CHUNK, size - at)), 0, undefined, at);
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
