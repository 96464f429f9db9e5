import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import { type Database, openDatabase } from '../ledger/database.ts';
import { walkEntries } from '../ledger/entry-walk.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { REBUILT } from './projection-tables.ts';
import { Projections } from './projections.ts';

/** One table after a rebuild. */
export interface RebuiltTable {
  table: string;
  rows: number;
  /** Rows that were missing, surplus or different before. */
  repaired: number;
}

/**
 * Empties the engine's projections and fills them again from the entries, in one transaction. The daemon must not be
 * running. `onProgress` gets the number of entries read. Throws on an entry that cannot be decoded: then nothing changed,
 * and `ledger verify` says what is wrong with it.
 */
export function rebuildProjections(
  path: string,
  onProgress: (entries: number) => void = () => {},
): RebuiltTable[] {
  const database = openDatabase(path, { kind: LEDGER_KIND });
  try {
    const projections = new Projections(database);
    database.begin();
    for (const table of REBUILT) {
      database.exec(
        `CREATE TEMP TABLE old_${table} AS SELECT * FROM main.${table}; DELETE FROM main.${table};`,
      );
    }
    refill(database, projections, onProgress);
    const report = REBUILT.map((table) => compare(database, table));
    database.commit();
    return report;
  } catch (error) {
    database.rollback();
    throw withConsequence(error);
  } finally {
    database.close();
  }
}

const STEP = 1_000;

function refill(database: Database, projections: Projections, onProgress: (entries: number) => void): void {
  let done = 0;
  for (const { index, bytes } of walkEntries(database)) {
    projections.apply(index, decodeEntry(bytes));
    done = index + 1;
    if (done % STEP === 0) onProgress(done);
  }
  onProgress(done);
}

/** What lies elsewhere cannot be read again; half a table would be worse than an old one. */
function withConsequence(error: unknown): unknown {
  if (!(error instanceof BoundaryError) || !error.code.startsWith('archive.')) return error;
  return new BoundaryError('rebuild.archived', `${error.message} No table was changed.`, { cause: error });
}

function compare(database: Database, table: string): RebuiltTable {
  const count = (sql: string) => database.prepareColumn<number>(`SELECT count(*) FROM (${sql})`).get() ?? 0;
  const now = `SELECT * FROM main.${table}`;
  const before = `SELECT * FROM temp.old_${table}`;
  const repaired = Math.max(count(`${now} EXCEPT ${before}`), count(`${before} EXCEPT ${now}`));
  return { table, rows: count(now), repaired };
}
