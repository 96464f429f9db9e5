import type { Archive } from './archive.ts';
import type { Database } from './database.ts';
import { LEDGER_OBJECTS } from './schema.ts';
import { isArchivable, streamOfText } from './segments.ts';

/** Removing entries is what this trigger forbids to everything else. */
const GUARD = 'entries_delete';
const GUARD_SQL = LEDGER_OBJECTS.find(({ name }) => name === GUARD)?.sql;

/**
 * One round of removing an archived segment from the table of entries: the segment must be named by a committed
 * `ledger.pruned` entry, and only what its archive file holds goes, compared byte by byte. The guard is lifted and put
 * back inside the one transaction, so no other moment ever sees the table without it.
 *
 * Returns how many entries were removed. Throws `BoundaryError` `archive.*` when the file is not there or not true; then
 * nothing was removed.
 */
export function clearSegment(database: Database, archive: Archive, first: number, limit: number): number {
  const segment = archive.segmentAt(first);
  if (segment === null || GUARD_SQL === undefined)
    throw new Error(`entry ${first} is in no archived segment`);
  const rows = removable(database, segment.first, segment.until, limit);
  if (rows.length === 0) return 0;
  for (const [index, previous, bytes] of rows) {
    const archived = archive.entry(index);
    const same = archived !== null && previous === archived.previous && bytes.equals(archived.bytes);
    if (!same) throw new Error(`entry ${index} is not what the archive file ${segment.file.name} holds`);
  }
  database.begin();
  try {
    database.exec(`DROP TRIGGER ${GUARD}`);
    const remove = database.prepare('DELETE FROM entries WHERE idx = ?');
    for (const [index] of rows) remove.run(index);
    database.exec(GUARD_SQL);
    // Point of no return: from here on these entries are in the archive file only.
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  }
  return rows.length;
}

type Row = [index: number, previous: number | null, bytes: Buffer];

function removable(database: Database, first: number, until: number, limit: number): Row[] {
  const rows = database.prepareTuple<Row>(
    'SELECT idx, prev_idx, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
  );
  const found: Row[] = [];
  for (const row of rows.iterate(first, until)) {
    const stream = streamOfText(row[2].toString('utf8'));
    if (stream !== null && isArchivable(stream)) found.push(row);
    if (found.length >= limit) break;
  }
  return found;
}
