import { Archive, archiveDir } from './archive.ts';
import { openDatabase } from './database.ts';
import type { StoredEntry } from './ledger.ts';
import { LEDGER_KIND } from './schema.ts';

/** It goes forward, and reads a page once. */
const CACHE_KIB = 1_024;

/** Committed entries as another thread sees them, while the writer goes on. */
export interface LedgerFollower {
  origin: string;
  /** How many entries are committed. */
  size(): number;
  /**
   * At most `limit` committed entries from an index on, in order and without a gap; archived ones too. Throws BoundaryError
   * `archive.*` when what is next is not at hand.
   */
  entries(from: number, limit: number): StoredEntry[];
  close(): void;
}

/** Follows the ledger in a file, by a connection of its own that holds no snapshot between calls. */
export function followLedger(path: string, origin: string): LedgerFollower {
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true, cacheKib: CACHE_KIB });
  const size = database.prepareColumn<number>('SELECT coalesce(max(size), 0) FROM checkpoints');
  const entries = database.prepare<StoredEntry>(
    'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
  );
  const archive = new Archive(database, archiveDir(path));
  return {
    origin,
    size: () => size.get() ?? 0,
    entries(from, limit) {
      const rows = entries.all(from, limit);
      if (rows[0]?.index === from) return withoutGap(rows);
      const archived: StoredEntry[] = [];
      const end = Math.min(rows[0]?.index ?? from + limit, from + limit);
      for (let index = from; index < end; index++) {
        const found = archive.entry(index);
        if (found === null) break;
        archived.push({ index, bytes: found.bytes });
      }
      return archived;
    },
    close: () => database.close(),
  };
}

/** Up to the first entry that was archived from between them. */
function withoutGap(rows: StoredEntry[]): StoredEntry[] {
  const first = rows[0]?.index ?? 0;
  const gap = rows.findIndex(({ index }, at) => index !== first + at);
  return gap === -1 ? rows : rows.slice(0, gap);
}
