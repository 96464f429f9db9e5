import { afterEach, describe, expect, test } from 'vitest';
import type { BundleGate } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
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
const submit = (fixture: EngineFixture, decision: JsonObject, json: JsonObject) =>
  fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
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
