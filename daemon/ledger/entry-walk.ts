import { Archive, archiveDir } from './archive.ts';
import type { Database } from './database.ts';
import type { StoredEntry } from './ledger.ts';

const PAGE = 1_000;

/**
 * Every entry of a ledger in order, from the table or from its archive files. Throws `BoundaryError` `archive.*` at one
 * whose file is not here, or not true.
 */
export function* walkEntries(database: Database): Generator<StoredEntry> {
  const archive = new Archive(database, archiveDir(database.path));
  const page = database.prepare<StoredEntry>(
    'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
  );
  let next = 0;
  for (let rows = page.all(0, PAGE); rows.length > 0; rows = page.all(next, PAGE)) {
    for (const row of rows) {
      for (; next < row.index; next++) {
        const archived = archive.entry(next);
        if (archived === null) throw new Error(`entry ${next} is missing; run ledger verify`);
        yield { index: next, bytes: archived.bytes };
      }
      yield row;
      next = row.index + 1;
    }
  }
}
