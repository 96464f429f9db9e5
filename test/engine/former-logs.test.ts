import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFormerLogs } from '../../daemon/engine/former-logs.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { temporaryDir } from '../host/temporary.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

/* A site whose former log lies in `state/former/1`, as a restore leaves it, and what becomes of that log. */

let directory: string;
let site: EngineFixture;
let old: string;
const reports: string[] = [];

const KEY = 'retry-1';
const create = (key: string | null) =>
  site.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1'), key });
const place = (...names: string[]) => join(directory, '1', ...names);

beforeEach(() => {
  reports.length = 0;
  directory = join(temporaryDir(), 'former');
  const before = new EngineFixture(testBundle());
  const made = before.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1'), key: KEY });
  old = String(made.body.decision_id);
  before.engine.close();
  mkdirSync(place('keys'), { recursive: true });
  cpSync(before.paths.ledger, place('ledger.sqlite'));
  cpSync(join(before.paths.keys, 'sealing.key'), place('keys', 'sealing.key'));
  const former = openFormerLogs(directory, 'sealing.key', null, (message) => reports.push(message));
  site = new EngineFixture(testBundle(), { former });
});

afterEach(() => site.close());

const degraded = () =>
  (site.call('status.get').body.degraded as { component: string }[]).filter(
    ({ component }) => component === 'former_logs',
  );

function change(sql: string): void {
  const database = openDatabase(place('ledger.sqlite'), { kind: LEDGER_KIND });
  database.exec(sql);
  database.close();
}

test('what was asked there is known', () => {
  expect(create(KEY)).toMatchObject({ status: 409, body: { code: 'idempotency.former_log' } });
  expect(create('another')).toMatchObject({ status: 200 });
  expect(site.call('decisions.get', { args: { id: old } }).body.detail).toContain('which ended');
  expect(degraded()).toEqual([]);
});

const ENDLESS = `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT CAST(n AS TEXT) AS id, '' AS key FROM c`;

/** All but the header and the schema's first page. */
const spoilt = (bytes: Buffer): Buffer => bytes.fill(0xff, 4_096);

test.each<[string, () => void]>([
  ['keys that others may read', () => chmodSync(place('keys', 'sealing.key'), 0o644)],
  ['a key that is none', () => writeFileSync(place('keys', 'sealing.key'), 'noise')],
  ['a file that is no database', () => writeFileSync(place('ledger.sqlite'), 'noise'.repeat(1_000))],
  [
    'pages that went bad',
    () => writeFileSync(place('ledger.sqlite'), spoilt(readFileSync(place('ledger.sqlite')))),
  ],
  ['no file', () => rmSync(place('ledger.sqlite'))],
  ['a view that never ends', () => change(`DROP TABLE decisions; CREATE VIEW decisions AS ${ENDLESS}`)],
  ['another view that never ends', () => change(`CREATE VIEW aside AS ${ENDLESS}`)],
  ['no table of keys', () => change('DROP TABLE idempotency')],
])('with %s, nothing that may have run there runs again, and the rest goes on', (_, damage) => {
  damage();
  expect(create(KEY)).toMatchObject({
    status: 409,
    body: { code: 'idempotency.former_log', detail: expect.stringContaining('state/former/1') },
  });
  expect(create('another')).toMatchObject({ status: 409, body: { code: 'idempotency.former_log' } });
  expect(create(null)).toMatchObject({ status: 200 });
  const unknown = site.call('decisions.get', { args: { id: old } });
  expect(unknown).toMatchObject({ status: 404, body: { detail: expect.stringContaining('cannot be read') } });
  expect(degraded()).toHaveLength(1);
  expect(reports).toHaveLength(1);
});

test('trouble that passes is forgotten', () => {
  chmodSync(place('keys', 'sealing.key'), 0o644);
  expect(create('another').status).toBe(409);
  expect(degraded()).toHaveLength(1);
  chmodSync(place('keys', 'sealing.key'), 0o600);
  expect(create('another').status).toBe(200);
  expect(create(KEY)).toMatchObject({ status: 409, body: { detail: expect.stringContaining(old) } });
  expect(degraded()).toEqual([]);
});

test('a log that lies there without its keys says nothing, as the restore told', () => {
  rmSync(place('keys'), { recursive: true });
  expect(create(KEY)).toMatchObject({ status: 200 });
  expect(degraded()).toEqual([]);
});
