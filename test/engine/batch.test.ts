import { afterEach, expect, test } from 'vitest';
import { internal } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

const open: EngineFixture[] = [];

function site(bundle = testBundle()): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const create = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') });

test('an entry whose projection fails is not committed with the batch', () => {
  const fixture = site();
  const { body } = create(fixture);
  const { id, action_digest } = body.permit as JsonObject;
  fixture.engine.close();
  const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
  database.exec('DELETE FROM decisions');
  database.close();
  fixture.engine = fixture.open();
  const json = JSON.stringify({ audience: 'gateway', action_digest });
  const redeem = { ...internal('permits.redeem', json), args: { id: String(id) } };
  const other = internal('decisions.create', JSON.stringify(ask('read_telemetry', 'sensor:t-2')));
  const statuses = fixture.engine.process([redeem, other]).replies.map(({ status }) => status);
  expect(statuses).toEqual([503, 503]);
  fixture.clock.pass(5_000);
  expect(create(fixture).status).toBe(200);
  expect(JSON.stringify(fixture.call('ledger.entries').body)).not.toContain('permit.redeemed');
});

test('what does not fit into an entry is refused with its own code, and is no bug of ours', () => {
  const bundle = testBundle();
  Object.assign(bundle.actions.restart_service ?? {}, {
    payload: { notes: { type: 'string_list', max_items: 60, max_length: 1_000 } },
  });
  bundle.tools.restarter = { connector: 'exec', argv: ['/bin/cat'], stdin: ['notes'] };
  const fixture = site(bundle);
  const notes = Array.from({ length: 40 }, () => 'word '.repeat(190));
  const json = ask('restart_service', 'service:relay-2', { payload: { notes } });
  expect(fixture.call('decisions.create', { json })).toMatchObject({
    status: 413,
    body: { code: 'ledger.entry_too_large' },
  });
  expect(fixture.reports).toEqual([]);
});
