import { lstatSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { errorCode } from '../../host/durable-file.ts';
import { writeFailure } from '../../host/write-failure.ts';
import { isLocked, lockFile } from '../../ledger/database.ts';

/*
 * A site is built in a directory beside its place, `.NAME.holdfast-init-XXXXXX`, and moved there whole. Whoever builds holds
 * `.NAME.holdfast-init-lock`; the kernel lets go of it when the process dies, so what lies there under a lock that is free was left by
 * a process that was killed. It holds keys, and with `restore` everything that was decrypted.
 */

/** The place where a site is built. */
export interface Building {
  dir: string;
  /** Directories that a killed process left for the same site, and that are gone now. */
  cleared: string[];
  /** Directories of that kind that could not be removed, or are somebody else's. */
  left: string[];
  /** To be called when `dir` was moved to its place, or nothing comes of it: then it is removed. */
  close(): void;
}

/**
 * Begins to build the site `dir`, which is free, and clears what killed processes left of it. Throws BoundaryError
 * `init.not_writable`, `init.not_written` where the disk refuses, and `init.in_use` while another process builds a site for the same place.
 */
export function openBuilding(dir: string): Building {
  const parent = dirname(dir);
  try {
    const lock = takeLock(join(parent, `.${basename(dir)}.holdfast-init-lock`), dir);
    try {
      const { cleared, left } = clearLeftovers(dir);
      const building = mkdtempSync(join(parent, `.${basename(dir)}.holdfast-init-`));
      const close = (): void => {
        rmSync(building, { recursive: true, force: true });
        lock.release();
      };
      return { dir: building, cleared, left, close };
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (cause) {
    if (cause instanceof BoundaryError) throw cause;
    const { isDisk, why, next } = writeFailure(cause);
    if (isDisk)
      throw new BoundaryError(
        'init.not_written',
        `Nothing can be made in ${parent}: ${why}; no site was made. ${next}, or name another directory with --dir.`,
        { at: parent, cause },
      );
    throw new BoundaryError(
      'init.not_writable',
      `Nothing can be made in ${parent} (${errorCode(cause) ?? 'unknown cause'}); no site was made. Check its owner and mode, or name another directory with --dir.`,
      { at: parent, cause },
    );
  }
}

/** The lock file goes away with its lock; whoever waited with the removed one in hand begins again. */
function takeLock(path: string, dir: string): { release(): void } {
  for (;;) {
    const before = inode(path);
    let lock: { release(): void };
    try {
      lock = lockFile(path);
    } catch (cause) {
      if (!isLocked(cause)) {
        // A full disk takes the name of a file, and not the lock in it.
        if (before === null) removeMade(path);
        throw cause;
      }
      throw new BoundaryError(
        'init.in_use',
        `Another process makes a site in ${dir} right now; nothing was done here. Wait for it, or end it.`,
        { at: path, cause },
      );
    }
    if (before !== null && before === inode(path)) {
      return {
        release: () => {
          rmSync(path, { force: true });
          lock.release();
        },
      };
    }
    lock.release();
  }
}

/**
 * Words for a disk that fails under the site that is built in `dir`: why, and what to do; null for anything else that went
 * wrong.
 */
export function diskFailure(error: unknown): { why: string; next: string } | null {
  // The daemon's own answer, while the first policy is imported.
  if (error instanceof BoundaryError && error.code === 'disk.full')
    return { why: 'the disk is as good as full', next: 'Make room' };
  const isOpening = error instanceof BoundaryError && error.code.startsWith('database.');
  const failure = writeFailure(isOpening ? error.cause : error);
  return failure.isDisk ? failure : null;
}

function removeMade(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // What the lock failed of is the one to report.
  }
}

function inode(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

function clearLeftovers(dir: string): { cleared: string[]; left: string[] } {
  const cleared: string[] = [];
  const left: string[] = [];
  for (const path of leftoversOf(dir)) (remove(path) ? cleared : left).push(path);
  return { cleared, left };
}

function leftoversOf(dir: string): string[] {
  const prefix = `.${basename(dir)}.holdfast-init-`;
  return readdirSync(dirname(dir), { withFileTypes: true })
    .filter(
      (found) =>
        found.isDirectory() &&
        found.name.startsWith(prefix) &&
        /^[A-Za-z0-9]{6}$/.test(found.name.slice(prefix.length)),
    )
    .map(({ name }) => join(dirname(dir), name))
    .sort();
}

/** Only one's own: in a directory for everybody, a name proves nothing. */
function remove(path: string): boolean {
  if (lstatSync(path).uid !== process.geteuid?.()) return false;
  try {
    rmSync(path, { recursive: true });
    return true;
  } catch {
    return false;
  }
}
