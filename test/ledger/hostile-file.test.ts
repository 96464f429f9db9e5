import { execFileSync } from 'node:child_process';
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { PROJECTION_OBJECTS } from '../../daemon/engine/projection-tables.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import { type VerifyReport, verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import { create, type Files, filesIn, grow, nextEntry, TRUST } from './fixture.ts';

/* Files that were made to keep a verifier busy for ever, or to make it fall over: each is told as changed, soon. */

let files: Files;
let report: VerifyReport | null;

beforeEach(() => {
  files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, 40, 10);
  // Entries that are no decision's, of one long stream.
  for (let n = 0; n < 20; n++) {
    ledger.begin();
    ledger.append('system', nextEntry(ledger, 'system', `note ${n}`, 'system.heartbeat'));
    ledger.seal();
    ledger.commit();
  }
  ledger.close();
  report = null;
});
afterEach(() => expect(report?.code).toBe(10));

/** Past all triggers, which whoever has the file can take away. */
function change(...statements: string[]): void {
  const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
  for (const { type, name } of LEDGER_OBJECTS)
    if (type === 'trigger') database.exec(`DROP TRIGGER IF EXISTS ${name}`);
  for (const statement of statements) database.exec(statement);
  database.close();
}

const tables = (): void => change(...PROJECTION_OBJECTS.map(({ sql }) => sql));

async function verify(): Promise<string> {
  report = await verifyLedger({
    ledgerPath: files.ledger,
    trust: TRUST,
    projectionChecks: (database, archive) => checkProjections(database, archive),
  });
  return report.findings.map(({ where, detail }) => `${where}: ${detail}`).join('\n');
}

const ENDLESS = 'WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i AS';

describe('what is no file, or none of a database', () => {
  test('is not read at all', async () => {
    const pipe = join(temporaryDir(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero', temporaryDir()])
      await expect(verifyLedger({ ledgerPath: path, trust: TRUST })).rejects.toMatchObject({
        code: 'file.not_regular',
      });
    await expect(
      verifyLedger({ ledgerPath: files.ledger, headPath: pipe, trust: TRUST }),
    ).rejects.toMatchObject({ code: 'file.not_regular' });
    execFileSync('mkfifo', [`${files.ledger}-wal`]);
    await expect(verify()).rejects.toMatchObject({ code: 'file.not_regular' });
    rmSync(`${files.ledger}-wal`);
    // Far more than any disk here has room for: it is told before it is copied.
    truncateSync(files.ledger, 0);
    truncateSync(files.ledger, 2 ** 38);
    expect(await verify()).toContain('This is no ledger (no SQLite database)');
  });
});

describe('a ledger file', () => {
  test('whose tables are endless views', async () => {
    change(
      'DROP TABLE entries',
      `CREATE VIEW entries AS ${ENDLESS} idx, NULL AS prev_idx, x'' AS bytes FROM n`,
    );
    expect(await verify()).toContain('sqlite_schema: table entries was altered');
    change('DROP TABLE checkpoints', `CREATE VIEW checkpoints AS ${ENDLESS} size, '' AS note FROM n`);
    expect(await verify()).toContain('sqlite_schema: checkpoints is no table of a ledger');
  });

  test('with endless views in place of derived tables', async () => {
    tables();
    change(
      'DROP TABLE decisions',
      `CREATE VIEW decisions AS ${ENDLESS} id, '' AS status, '' AS permit, 0 AS last_idx, 0 AS expires_at FROM n`,
    );
    expect(await verify()).toContain('decisions is no table of a ledger');
  });

  test.each(['entries', 'streams', 'tiles', 'checkpoints'])('without its table %s', async (table) => {
    change(`DROP TABLE ${table}`);
    expect(await verify()).toContain(`table ${table} is missing`);
  });

  test.each(PROJECTION_OBJECTS.filter(({ type }) => type === 'table').map(({ name }) => name))(
    'without the derived table %s, or with another of that name',
    async (table) => {
      tables();
      change(`DROP TABLE ${table}`);
      expect(await verify()).toContain(`table ${table} is missing`);
      change(`CREATE TABLE ${table} (other TEXT)`);
      expect(await verify()).toContain(`table ${table} was altered`);
    },
  );

  test('with a checkpoint of less than nothing', async () => {
    change(`INSERT INTO checkpoints (size, note) VALUES (-5, 'x')`);
    expect(await verify()).toContain('1 of them cover no entry at all');
  });

  test('in which very many streams end with the same very long one', async () => {
    tables();
    const first = 60;
    change(
      `WITH RECURSIVE n (i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
       INSERT INTO entries SELECT i, i - 1, (SELECT bytes FROM entries WHERE idx = 59) FROM n`,
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
       INSERT INTO streams SELECT 'zz_' || i, 0, 20000 FROM n`,
    );
    expect(await verify()).toContain('entries[60]');
  }, 120_000);
});
