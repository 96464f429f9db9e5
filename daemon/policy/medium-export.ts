import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, readBounded } from '../host/durable-file.ts';
import { closeQuietly } from './medium.ts';
import { EXPORT_MARK, isMarked } from './medium-intake.ts';
import { type Folder, leaveFile, openFolder, withPatience } from './medium-write.ts';
import { siteInName } from './receipts.ts';

/** What lies in an outbox: nothing of ours is longer, deeper or of another name. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,188}$/;
const MAX_BYTES = 4_194_304;
const MAX_FILES = 2_000;
const MAX_DEPTH = 3;

export interface LeftOnMedium {
  /** Where the files lie, on the medium; null where it carries no mark. */
  directory: string | null;
  /** Names of those that were not there yet. */
  written: string[];
  already: number;
  /** What could not be left, with the system's word for it. */
  failed: { name: string; why: string }[];
}

/**
 * Leaves everything that waits in the outbox (anchors, receipts) on a medium that carries the mark, below the site's own
 * folder. Files that are there already stay as they are, links are not followed, nothing is removed anywhere: the outbox
 * is emptied by headquarters' acknowledgements only. Rejects with the system's error when the folder cannot be made.
 */
export async function leaveOutbox(medium: string, outbox: string, site: string): Promise<LeftOnMedium> {
  const left: LeftOnMedium = { directory: null, written: [], already: 0, failed: [] };
  if (!(await isMarked(medium))) return left;
  for (const name of filesIn(outbox).slice(0, MAX_FILES)) {
    const parts = name.split('/');
    try {
      const into = await withPatience(
        openFolder(medium, [EXPORT_MARK, siteInName(site), ...parts.slice(0, -1)]),
      );
      try {
        left.directory ??= join(medium, EXPORT_MARK, siteInName(site));
        if (await withPatience(leave(into, parts.at(-1) ?? '', join(outbox, name)))) left.written.push(name);
        else left.already += 1;
      } finally {
        await closeQuietly(into.handle);
      }
    } catch (error) {
      const why = errorCode(error);
      if (why === null) throw error;
      left.failed.push({ name, why });
      // A full or write-protected medium will not get better by trying the others.
      if (['ENOSPC', 'EROFS', 'EIO', 'ETIMEDOUT'].includes(why)) return left;
    }
  }
  return left;
}

async function leave(into: Folder, name: string, path: string): Promise<boolean> {
  const written = await leaveFile(into, name, readBounded(path, MAX_BYTES));
  if (written) await into.handle.sync();
  return written;
}

/** Names below the outbox, those that sort first first. */
function filesIn(dir: string, from = '', depth = 1): string[] {
  return readdirSync(join(dir, from), { withFileTypes: true })
    .filter(({ name }) => NAME.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (entry.isFile()) return [`${from}${entry.name}`];
      return entry.isDirectory() && depth < MAX_DEPTH ? filesIn(dir, `${from}${entry.name}/`, depth + 1) : [];
    });
}
