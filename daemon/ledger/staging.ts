import { constants, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode } from '../host/durable-file.ts';

/**
 * Copies a database with its write-ahead log into a directory of its own, because SQLite writes beside what it reads:
 * evidence may lie on read-only media and must not change. `remove` deletes the copy.
 */
export function stageCopy(path: string): { path: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-verify-'));
  const staged = join(directory, 'database.sqlite');
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    // A clone costs nothing where the file system can make one.
    copyFileSync(path, staged, constants.COPYFILE_FICLONE);
    copyIfThere(`${path}-wal`, `${staged}-wal`);
  } catch (error) {
    remove();
    throw error;
  }
  return { path: staged, remove };
}

function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to, constants.COPYFILE_FICLONE);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
