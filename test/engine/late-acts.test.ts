import { afterEach, describe, expect, test } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { checkLedger } from '../oracle.ts';
import { alice, ask, carol, testBundle } from './bundle.ts';
import { EngineFixture, person, SITE } from './fixture.ts';

/* Acts that cross a gap arrive when they arrive: late, twice, in any order. */

const open: EngineFixture[] = [];
afterEach(() => {
  for (const fixture of open.splice(0)) {
    checkLedger(fixture.paths, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] });
    const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
    expect(checkProjections(database)).toEqual([]);
    database.close();
    fixture.close();
  }
});

function site(): EngineFixture {
  const fixture = new EngineFixture(testBundle());
  open.push(fixture);
  return fixture;
}

const restart = (fixture: EngineFixture): JsonObject =>
  fixture.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
const submit = (fixture: EngineFixture, decision: JsonObject, json: JsonObject) =>
  fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
const current = (fixture: EngineFixture, { decision_id }: JsonObject): JsonObject =>
  fixture.call('decisions.get', { args: { id: String(decision_id) } }).body;
const entries = (fixture: EngineFixture, { decision_id }: JsonObject): JsonObject[] => {
  const reply = fixture.call('decisions.entries', { args: { id: String(decision_id) } }).body;
  return (reply.entries as unknown as { entry: JsonObject }[]).map(({ entry }) => entry);
};

describe('an act that arrives twice', () => {
  test('hears that it counted, and as which entry, whatever became of the decision', () => {
    const fixture = site();
    const decision = restart(fixture);
    const act = fixture.sign(alice, decision);
    const first = submit(fixture, decision, act).body;
    const before = entries(fixture, decision).length;
    const again = submit(fixture, decision, act);
    expect(again).toMatchObject({
      status: 409,
      body: { code: 'approval.nonce_used', record_id: (first.ledger as JsonObject).record_id },
    });
    expect(entries(fixture, decision)).toHaveLength(before);
  });
});

describe('an act that arrives late', () => {
  test('after the permit: a no is on record, and the permit stands as it was', () => {
    const fixture = site();
    const decision = restart(fixture);
    const allowed = submit(fixture, decision, fixture.sign(alice, decision)).body;
    const late = submit(fixture, decision, fixture.sign(carol, decision, { answer: 'reject' }));
    expect(late).toMatchObject({ status: 409, body: { code: 'decision.wrong_state' } });
    expect(late.body.proof).toContain('c2sp.org/tlog-proof@v1');
    expect(entries(fixture, decision).at(-1)).toMatchObject({
      type: 'approval.rejected',
      data: { transitions: [], code: 'decision.wrong_state', principal: 'carol' },
    });
    const { status, permit_state, permit } = current(fixture, decision);
    expect({ status, permit_state }).toEqual({ status: 'authorized', permit_state: 'issued' });
    expect((permit as JsonObject).id).toBe((allowed.permit as JsonObject).id);
    const { id, action_digest } = permit as { id: string; action_digest: string };
    const json = { audience: 'gateway', action_digest };
    expect(fixture.call('permits.redeem', { args: { id }, json }).status).toBe(200);
  });

  test.each([
    ['expired, not yet recorded', false],
    ['expired, recorded', true],
  ])('after its decision (%s) is on record and changes nothing', (_name, tick) => {
    const fixture = site();
    const decision = restart(fixture);
    const act = fixture.sign(alice, decision, { ttl_seconds: 86_400 });
    fixture.clock.pass(2 * 3_600_000);
    if (tick) fixture.engine.tick();
    const late = submit(fixture, decision, act);
    expect(late).toMatchObject({ status: 409, body: { code: 'decision.terminal' } });
    expect(entries(fixture, decision).at(-1)).toMatchObject({
      type: 'approval.rejected',
      data: { code: 'decision.terminal', principal: 'alice' },
    });
    fixture.engine.tick();
    expect(current(fixture, decision).status).toBe('expired');
  });

  test('of a stranger, or about something else, leaves no trace', () => {
    const fixture = site();
    const decision = restart(fixture);
    submit(fixture, decision, fixture.sign(alice, decision, { answer: 'reject' }));
    const other = restart(fixture);
    const before = entries(fixture, decision).length;
    for (const act of [
      fixture.sign(person('mallory'), decision),
      fixture.sign(carol, other),
      fixture.sign(carol, decision, { site: 'outpost-8.example' }),
    ])
      expect(submit(fixture, decision, act).body.code).toBe('decision.terminal');
    expect(entries(fixture, decision)).toHaveLength(before);
  });

  test('is kept no more often than acts are', () => {
    const bundle = testBundle({ limits: { approvals_per_decision: 3 } });
    const fixture = new EngineFixture(bundle);
    open.push(fixture);
    const decision = restart(fixture);
    submit(fixture, decision, fixture.sign(alice, decision, { answer: 'reject' }));
    for (let n = 0; n < 5; n += 1) submit(fixture, decision, fixture.sign(carol, decision));
    expect(entries(fixture, decision)).toHaveLength(4);
  });
});

test('an act that was changed on its way is nobody’s word', () => {
  const fixture = site();
  const decision = restart(fixture);
  const { act, signature } = fixture.sign(alice, decision);
  const changed = { act: act.replace('"reason":"looked at it"', '"reason":"looked at it!"'), signature };
  expect(submit(fixture, decision, changed)).toMatchObject({
    status: 422,
    body: { code: 'approval.bad_signature' },
  });
  const broken = { act: act.slice(0, -1), signature };
  expect(submit(fixture, decision, broken)).toMatchObject({
    status: 422,
    body: { code: 'approval.malformed' },
  });
  expect(entries(fixture, decision)).toHaveLength(1);
  expect(submit(fixture, decision, { act, signature }).body.status).toBe('authorized');
});
