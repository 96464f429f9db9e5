import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { beginCheck, checkProjections } from '../../daemon/engine/projection-check.ts';
import { PROJECTION_OBJECTS } from '../../daemon/engine/projection-tables.ts';
import { ENTRY_TYPES } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { type Database, openDatabase } from '../../daemon/ledger/database.ts';
import { scanEntry } from '../../daemon/ledger/entry-scan.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { alice, ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

let fixture: EngineFixture;
let database: Database;

/** One decision for each way that a row can come about, some of them with words that look like an entry's own. */
function everyKindOfRow(site: EngineFixture): void {
  const create = (json: never, key: string | null = null): JsonObject =>
    site.call('decisions.create', { json, key }).body;
  const redeem = ({ permit }: JsonObject): string => {
    const { id, action_digest } = permit as { id: string; action_digest: string };
    const json = { audience: 'gateway', action_digest };
    expect(site.call('permits.redeem', { args: { id }, json }).status).toBe(200);
    return id;
  };
  const report = (id: string, result: string) =>
    site.call('permits.outcome', { args: { id }, json: { audience: 'gateway', result, detail: {} } });
  create(ask('read_telemetry', 'sensor:unused'));
  create(ask('read_telemetry', 'sensor:keyed'), 'key-1');
  create(ask('wipe_storage', 'disk:denied'), 'key-2');
  create(
    ask('no_such_class', 'sensor:x', {
      payload: { idempotency: {}, expires_at: '2031-01-01T00:00:00.000Z' },
    }),
  );
  create(ask('read_telemetry', 'sensor:x', { context: { trace: { correlation_id: '"idempotency":{' } } }));
  redeem(create(ask('read_telemetry', 'sensor:redeemed')));
  report(redeem(create(ask('read_telemetry', 'sensor:done'))), 'succeeded');
  report(redeem(create(ask('set_pin', 'door:one', { payload: { pin: '1234' } }))), 'unknown');
  const waiting = create(ask('restart_service', 'service:relay'));
  const approved = create(ask('restart_service', 'service:relay'));
  const json = site.sign(alice, approved);
  expect(site.call('decisions.approve', { args: { id: String(approved.decision_id) }, json }).status).toBe(
    200,
  );
  const rejected = site.sign(alice, waiting, { role: 'safety_officer' });
  site.call('decisions.approve', { args: { id: String(waiting.decision_id) }, json: rejected });
  create(ask('read_telemetry', 'sensor:expired'));
}

beforeAll(() => {
  fixture = new EngineFixture(testBundle());
  everyKindOfRow(fixture);
  fixture.clock.pass(3 * 3_600_000);
  fixture.engine.tick();
  // What is open again after hours have passed.
  everyKindOfRow(fixture);
  fixture.engine.close();
  database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
});
afterAll(() => {
  database.close();
  fixture.engine = fixture.open();
  fixture.close();
});

/** What the pass over the entries sees of them, as the verification's threads do. */
function seenEntries(): Float64Array {
  const all = database.prepareColumn<Buffer>('SELECT bytes FROM entries ORDER BY idx').all();
  const types = new Set(Object.keys(ENTRY_TYPES));
  return Float64Array.from(all, (bytes) => scanEntry(bytes, 0, bytes.length, types)?.grant ?? 0);
}

/** What the check in two parts finds: the same as the one that reads everything, in another order. */
function foundInParts(seen = seenEntries()): string[] {
  const found = beginCheck(database, archiveDir(database.path), seen.length)(seen);
  return found.map(({ where, detail }) => `${where}: ${detail}`);
}

/** What the check finds after some statements, which are then undone. */
function foundAfter(...statements: string[]): string[] {
  database.begin();
  try {
    for (const sql of statements) database.exec(sql);
    const found = checkProjections(database).map(({ code, what, where, detail }) => {
      expect([code, what]).toEqual([10, 'projection']);
      return `${where}: ${detail}`;
    });
    expect(foundInParts().sort()).toEqual([...found].sort());
    return found;
  } finally {
    database.rollback();
  }
}

describe('the engine’s tables', () => {
  test('are what the entries say after every kind of decision', () => {
    const states = database
      .prepareColumn<string>(`SELECT DISTINCT status || ' ' || permit FROM decisions ORDER BY 1`)
      .all();
    expect(states).toEqual([
      'authorized issued',
      'authorized redeemed',
      'denied none',
      'executed succeeded',
      'executed unknown',
      'expired issued',
      'expired none',
      'pending_authority none',
    ]);
    expect(foundAfter()).toEqual([]);
  });

  test('are held against what was seen of unused permits, and looked at closer where nothing was', () => {
    const seen = seenEntries();
    expect(seen.filter((until) => until > 0).length).toBeGreaterThan(1);
    expect(foundInParts(seen)).toEqual([]);
    expect(foundInParts(new Float64Array(seen.length))).toEqual([]);
    // An entry that is not there: its row is found by the tables alone.
    const head = seen.findLastIndex((until) => until > 0);
    const stream = database.prepareColumn<string>('SELECT stream FROM streams WHERE last_idx = ?').get(head);
    database.begin();
    try {
      database.exec('DROP TRIGGER entries_delete');
      database.exec(`DELETE FROM entries WHERE idx = ${head}`);
      seen[head] = 0;
      expect(foundInParts(seen)).toContain(`decisions[${stream}]: the row is not what the entries say`);
    } finally {
      database.rollback();
    }
  });

  test('are read as they are where two streams end at one entry', () => {
    const found = foundAfter(
      `UPDATE streams SET last_idx = (SELECT max(last_idx) FROM decisions WHERE status = 'authorized' AND permit = 'issued')
       WHERE stream = (SELECT min(id) FROM decisions WHERE permit = 'issued')`,
      `UPDATE decisions SET last_idx = (SELECT max(last_idx) FROM decisions WHERE status = 'authorized' AND permit = 'issued')
       WHERE id = (SELECT min(id) FROM decisions WHERE permit = 'issued')`,
    );
    expect(found.join()).toMatch(/the row is not what the entries say/);
  });

  const ids = () => database.prepareColumn<string>('SELECT id FROM decisions').all();
  test.each([
    ['status', `'authorized'`, `'denied'`],
    ['permit', `'none'`, `'issued'`],
    ['last_idx', 'last_idx + 1', '0'],
    ['expires_at', 'expires_at + 1', 'coalesce(expires_at, 0) + 1'],
    ['expires_at', 'NULL', '1'],
  ])('show a changed %s in any row', (column, value, otherwise) => {
    for (const id of ids()) {
      const set = `CASE WHEN ${column} IS ${value} THEN ${otherwise} ELSE ${value} END`;
      const found = foundAfter(`UPDATE decisions SET ${column} = ${set} WHERE id = '${id}'`);
      expect(found).toEqual([`decisions[${id}]: the row is not what the entries say`]);
    }
  });

  test('show a missing row', () => {
    for (const id of ids()) {
      const found = foundAfter(`DELETE FROM decisions WHERE id = '${id}'`);
      expect(found[0]).toBe(`decisions[${id}]: the row is missing`);
    }
  });

  test.each([
    [
      'decisions',
      `INSERT INTO decisions SELECT 'dec_00000000-0000-7000-8000-000000000000', status, permit, last_idx, NULL FROM decisions LIMIT 1`,
    ],
    ['idempotency', `INSERT INTO idempotency VALUES ('k', 'r', 'd')`],
    ['nonces', `INSERT INTO nonces VALUES ('n', 3)`],
    ['idempotency', 'DELETE FROM idempotency WHERE key = (SELECT min(key) FROM idempotency)'],
    ['idempotency', `UPDATE idempotency SET request = 'r' WHERE key = (SELECT min(key) FROM idempotency)`],
    ['idempotency', `UPDATE idempotency SET key = 'k' WHERE key = (SELECT max(key) FROM idempotency)`],
    ['idempotency', `UPDATE idempotency SET decision = 'd' WHERE key = (SELECT max(key) FROM idempotency)`],
    ['nonces', 'DELETE FROM nonces WHERE nonce = (SELECT min(nonce) FROM nonces)'],
    ['nonces', 'UPDATE nonces SET idx = idx - 1 WHERE nonce = (SELECT max(nonce) FROM nonces)'],
    ['nonces', `UPDATE nonces SET nonce = 'n' WHERE nonce = (SELECT max(nonce) FROM nonces)`],
  ])('show in %s: %s', (table, sql) => {
    expect(foundAfter(sql).join('\n')).toMatch(new RegExp(`^${table}`));
  });

  test.each([
    ['index decisions_due is missing', 'DROP INDEX decisions_due'],
    [
      'index decisions_due was altered',
      'DROP INDEX decisions_due',
      'CREATE INDEX decisions_due ON decisions (expires_at) WHERE expires_at IS NULL',
    ],
    ['table nonces is missing', 'DROP TABLE nonces'],
    [
      'amnesia does not belong to nonces',
      'CREATE TRIGGER amnesia AFTER INSERT ON nonces BEGIN DELETE FROM nonces WHERE nonce = NEW.nonce; END',
    ],
  ])('show that %s', (detail, ...sql) => {
    expect(foundAfter(...sql)).toContain(`sqlite_schema: ${detail}`);
  });

  test('are not expected in a ledger without decisions', () => {
    const tables = PROJECTION_OBJECTS.filter(({ type }) => type === 'table').map(
      ({ name }) => `DROP TABLE ${name}`,
    );
    expect(foundAfter(...tables, `DELETE FROM streams WHERE stream LIKE 'dec_%'`)).toEqual([]);
    expect(foundAfter(...tables)).toHaveLength(PROJECTION_OBJECTS.length);
  });

  test('end the check early when everything is wrong', () => {
    const many = Array.from(
      { length: 150 },
      (_, n) => `INSERT INTO streams VALUES ('dec_${String(n).padStart(4, '0')}', 0, ${10 ** 6 + n})`,
    );
    expect(foundAfter(...many).length).toBe(100);
  });
});
