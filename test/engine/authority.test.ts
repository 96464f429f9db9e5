import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle, BundleGate, BundlePrincipal } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, person } from './fixture.ts';

const open: EngineFixture[] = [];

function site(bundle = testBundle()): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** Outside its window a restart needs an exception by the safety officer, and then a peer's approval. */
const WINDOW: BundleGate = {
  id: 'window',
  classes: ['restart_service'],
  condition: 'environment != "production"',
  otherwise: 'requires_exception',
  exception_role: 'safety_officer',
  reason: 'Services restart in their window.',
};
const guarded = () => testBundle({ gates: [WINDOW] });
const restart = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
/** The bundle's next version with other principals. */
function next(bundle: Bundle, principals: Record<string, Partial<BundlePrincipal>>): Bundle {
  const changed = structuredClone(bundle);
  changed.metadata.version += 1;
  for (const [id, changes] of Object.entries(principals))
    Object.assign(changed.principals[id] ?? {}, changes);
  return changed;
}
const submit = (fixture: EngineFixture, decision: JsonObject, json: JsonObject) =>
  fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
const redeem = (fixture: EngineFixture, { permit }: JsonObject) => {
  const { id, action_digest } = permit as JsonObject;
  return fixture.call('permits.redeem', {
    args: { id: String(id) },
    json: { audience: 'gateway', action_digest: String(action_digest) },
  });
};
const current = (fixture: EngineFixture, { decision_id }: JsonObject) =>
  fixture.call('decisions.get', { args: { id: String(decision_id) } }).body;

describe('an answer', () => {
  test('of no to an exception grants nothing', () => {
    const fixture = site(guarded());
    const decision = restart(fixture);
    for (const answer of ['reject', 'deny', 'approve_not']) {
      const act = fixture.sign(bob, decision, { role: 'safety_officer', answer }, 'exception');
      expect(submit(fixture, decision, act)).toMatchObject({
        status: 422,
        body: { code: 'approval.malformed' },
      });
    }
    expect(current(fixture, decision)).toMatchObject({
      status: 'pending_authority',
      policy: { exceptions: [] },
    });
  });

  test('that is neither yes nor no is neither', () => {
    const fixture = site();
    const decision = restart(fixture);
    const act = fixture.sign(alice, decision, { answer: 'succeeded' });
    expect(submit(fixture, decision, act).status).toBe(422);
    expect(current(fixture, decision)).toMatchObject({ status: 'pending_authority' });
    expect(submit(fixture, decision, fixture.sign(carol, decision)).body.status).toBe('authorized');
  });
});

test('what waited too long is not authorized, even before its expiry is on record', () => {
  const fixture = site();
  const decision = restart(fixture);
  fixture.clock.pass(60 * 60_000);
  expect(submit(fixture, decision, fixture.sign(alice, decision))).toMatchObject({
    status: 409,
    body: { code: 'decision.terminal' },
  });
  fixture.engine.tick();
  expect(current(fixture, decision)).toMatchObject({ status: 'expired' });
});

test('signatures of strangers are limited, and use up nothing of what the people of the roster have', () => {
  const fixture = site(testBundle({ limits: { approvals_per_decision: 3 } }));
  const decision = restart(fixture);
  const codes = ['s1', 's2', 's3', 's4'].map(
    (name) => submit(fixture, decision, fixture.sign(person(name), decision)).body.code,
  );
  expect(codes).toEqual([...Array(3).fill('approval.unknown_key'), 'approval.too_many']);
  for (let n = 0; n < 2; n++)
    submit(fixture, decision, fixture.sign(bob, decision, { role: 'safety_officer' }));
  expect(submit(fixture, decision, fixture.sign(alice, decision)).body.status).toBe('authorized');
});

describe('after an update', () => {
  test('who owned the agent when it asked cannot approve for it, nor can who owns it now', () => {
    const fixture = site(next(testBundle(), { 'agent:ops-1': { owner: 'alice' } }));
    const decision = restart(fixture);
    fixture.apply(next(next(testBundle(), {}), { 'agent:ops-1': { owner: 'carol' } }), 2);
    for (const owner of [alice, carol]) {
      expect(submit(fixture, decision, fixture.sign(owner, decision)).body.code).toBe('approval.self');
    }
  });

  test('that suspends an approver their approval no longer counts, and others may complete what is left', () => {
    const fixture = site();
    const decision = fixture.call('decisions.create', {
      json: ask('install_firmware', 'device:pump-1'),
    }).body;
    submit(fixture, decision, fixture.sign(alice, decision));
    fixture.apply(next(testBundle(), { alice: { status: 'suspended' } }), 2);
    const second = submit(fixture, decision, fixture.sign(bob, decision, { role: 'safety_officer' }));
    expect(second).toMatchObject({ status: 202, body: { status: 'pending_authority' } });
    expect(second.body.permit).toBeUndefined();
    const third = submit(fixture, decision, fixture.sign(carol, decision)).body;
    expect(third.status).toBe('authorized');
    expect(redeem(fixture, third).status).toBe(200);
  });

  test('that suspends who granted an exception, the permit is dead and a pending decision needs another', () => {
    const fixture = site(guarded());
    const [granted, pending] = [restart(fixture), restart(fixture)];
    for (const decision of [granted, pending]) {
      const act = fixture.sign(bob, decision, { role: 'safety_officer' }, 'exception');
      expect(submit(fixture, decision, act).status).toBe(202);
    }
    const allowed = submit(fixture, granted, fixture.sign(alice, granted)).body;
    expect(allowed.status).toBe('authorized');
    fixture.apply(next(guarded(), { bob: { status: 'suspended' } }), 2);
    expect(redeem(fixture, allowed)).toMatchObject({ status: 409, body: { code: 'permit.revoked' } });
    expect(submit(fixture, pending, fixture.sign(alice, pending)).body.status).toBe('pending_authority');
    const again = fixture.sign(carol, pending, { role: 'safety_officer' }, 'exception');
    expect(submit(fixture, pending, again).body.status).toBe('authorized');
  });

  test('that takes the environment away nobody can approve in it', () => {
    const fixture = site();
    const decision = restart(fixture);
    expect(fixture.apply(next(testBundle(), {}), 2, ['staging']).status).toBe(200);
    expect(submit(fixture, decision, fixture.sign(alice, decision)).body.code).toBe('policy.none');
    expect(current(fixture, decision)).toMatchObject({ status: 'pending_authority' });
  });
});
