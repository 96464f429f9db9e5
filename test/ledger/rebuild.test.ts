import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { rebuildStreams } from '../../daemon/ledger/rebuild.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { temporaryDir } from '../host/temporary.ts';
import { check, create, type Files, filesIn, grow } from './fixture.ts';

function rebuildAfter(files: Files, sql: string): ReturnType<typeof rebuildStreams> {
  const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
  try {
    database.exec(sql);
    database.begin();
    const report = rebuildStreams(database);
    database.commit();
    return report;
  } finally {
    database.close();
  }
}

describe('rebuilding the streams', () => {
  test.each([
    ['nothing wrong', '', 0],
    ['a wrong row', "UPDATE streams SET last_idx = 0 WHERE stream = 'dec_4'", 1],
    ['a missing row', "DELETE FROM streams WHERE stream = 'dec_4'", 1],
    ['a surplus row', "INSERT INTO streams VALUES ('dec_none', 0, 1)", 1],
    ['a renamed row', "UPDATE streams SET stream = 'x' WHERE stream = 'dec_4'", 2],
  ])('%s', (_, sql, repaired) => {
    const files = filesIn(temporaryDir());
    const ledger = create(files);
    grow(ledger, 100, 20);
    const rows = new Set(check(files).entries.map(({ stream }) => stream)).size;
    ledger.close();
    expect(rebuildAfter(files, sql)).toEqual({ table: 'streams', rows, repaired });
    check(files);
    expect(rebuildAfter(files, '').repaired).toBe(0);
  });

  test('everything lost', () => {
    const files = filesIn(temporaryDir());
    const ledger = create(files);
    grow(ledger, 100, 20);
    ledger.close();
    const report = rebuildAfter(files, 'DELETE FROM streams');
    expect(report.repaired).toBe(report.rows);
    check(files);
  });

  test('needs a transaction of the caller', () => {
    const ledger = create(filesIn(temporaryDir()));
    expect(() => rebuildStreams(ledger.database)).toThrow(/needs a transaction/);
    ledger.close();
  });
});
