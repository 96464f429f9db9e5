import { afterEach, expect, test } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { alice, ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

const open: EngineFixture[] = [];

function site(): EngineFixture {
  const fixture = new EngineFixture(
    testBundle({ secrets: { patterns: [{ id: 'badge', pattern: 'BADGE-[0-9]{6}' }] } }),
  );
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const create = (fixture: EngineFixture, name: string, target: string) =>
  fixture.call('decisions.create', { json: ask(name, target) }).body;
const ledgerOf = (fixture: EngineFixture) => JSON.stringify(fixture.call('ledger.entries').body);
const OPERATOR = { socket: 'operator', uid: null } as const;
const WITHHELD = '[withheld: secrets.pattern]';

function execute(fixture: EngineFixture, detail: JsonObject): JsonObject {
  const decision = create(fixture, 'read_telemetry', 'sensor:t-1');
  const { id, action_digest } = decision.permit as JsonObject;
  const args = { id: String(id) };
  fixture.call('permits.redeem', {
    args,
    json: { audience: 'gateway', action_digest: String(action_digest) },
  });
  return fixture.call('permits.outcome', { args, json: { audience: 'gateway', result: 'failed', detail } })
    .body;
}

test('a cancellation counts without its secret, and without a role', () => {
  const fixture = site();
  for (const reason of ['password=hunter22', 'it is BADGE-123456']) {
    const { decision_id } = create(fixture, 'restart_service', 'service:relay-2');
    const { status, body } = fixture.call('decisions.cancel', {
      args: { id: String(decision_id) },
      json: { actor: { id: 'agent:ops-1' }, reason },
      peer: OPERATOR,
    });
    expect([status, body.status]).toEqual([200, 'cancelled']);
  }
  const entries = ledgerOf(fixture);
  expect(entries).not.toMatch(/hunter22|BADGE-123456/);
  expect(entries).toContain(WITHHELD);
  expect(fixture.reports).toEqual([]);
});

test('an outcome and a review count without their secrets', () => {
  const fixture = site();
  const { decision_id } = execute(fixture, { exit_code: 1, reason: 'auth_token=abcdefgh was refused' });
  const { status, body } = fixture.call('decisions.review', {
    args: { id: String(decision_id) },
    json: { actor: { id: 'olga' }, note: 'the passphrase: correct-horse' },
    peer: OPERATOR,
  });
  expect([status, body.status]).toEqual([200, 'reviewed']);
  expect(body.reviews).toMatchObject([{ principal: 'olga', note: WITHHELD }]);
  expect(ledgerOf(fixture)).not.toMatch(/abcdefgh|correct-horse/);
});

test('an act is evidence, word for word: one whose reason holds a secret is not accepted', () => {
  const fixture = site();
  const decision = create(fixture, 'restart_service', 'service:relay-2');
  const json = fixture.sign(alice, decision, { reason: 'the password: hunter22' });
  const answer = fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
  expect(answer).toMatchObject({ status: 422, body: { code: 'approval.malformed' } });
  expect(JSON.stringify(answer.body) + ledgerOf(fixture)).not.toContain('hunter22');
});
