import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { makeTree } from '../host/directory.ts';
import { readBounded, syncDir, writeDurable } from '../host/durable-file.ts';

/*
 * A second copy is written only into a directory that was made for it. Otherwise a disk that is not mounted would look
 * like an empty one, and the copy would be begun anew on the disk that it is meant to outlive.
 */

/** Beside the tiles; stock tools do not look at it. */
export const COPY_MARK = 'holdfast-copy.json';
const MARK_MAX_BYTES = 4_096;

/**
 * Makes `directory` (or takes an empty one) for the second copy of one log. Throws `BoundaryError` `copy.not_free` when
 * there is something in it, or the system's error.
 */
export function createCopy(directory: string, origin: string): void {
  if (existsSync(directory) && readdirSync(directory).some((name) => name !== 'lost+found')) {
    throw new BoundaryError(
      'copy.not_free',
      `There are files in ${directory} already; nothing was written. Name an empty directory or a new one. (A copy that was away goes on by itself.)`,
      { at: directory },
    );
  }
  makeTree(directory, 0o755);
  const mark = `${JSON.stringify({ v: 1, origin })}\n`;
  writeDurable(join(directory, COPY_MARK), Buffer.from(mark, 'utf8'), 0o644);
  syncDir(dirname(directory));
}

/**
 * Origin of the log whose copy belongs into `directory`; null where no copy was begun, which is also how a disk looks that
 * is not mounted. Throws `BoundaryError` `copy.malformed`, or the system's error.
 */
export function readCopyMark(directory: string): string | null {
  const path = join(directory, COPY_MARK);
  try {
    const text = Buffer.from(readBounded(path, MARK_MAX_BYTES)).toString('utf8');
    const mark = parseStrict(text, { maxBytes: MARK_MAX_BYTES, maxDepth: 2 });
    if (mark !== null && typeof mark === 'object' && !Array.isArray(mark)) {
      if (mark.v === 1 && typeof mark.origin === 'string') return mark.origin;
    }
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    if (error.code === 'file.missing') return null;
    if (error.code === 'file.unreadable') throw error.cause;
  }
  throw new BoundaryError(
    'copy.malformed',
    `${path} does not say which log the copy is of; nothing was written. Begin a new one: holdfast copy new DIR`,
    { at: path },
  );
}
