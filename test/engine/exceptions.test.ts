import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle, BundleGate } from '../../daemon/core/bundle.ts';
import { gateDigest } from '../../daemon/core/exception.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person } from './fixture.ts';

let site: EngineFixture;
afterEach(() => site.close());

const gate = (id: string): BundleGate => ({
  id,
  classes: ['restart_service'],
  condition: 'environment != "production"',
  otherwise: 'requires_exception',
  exception_role: 'safety_officer',
  reason: `Not ${id}.`,
});
const open = (gates: BundleGate[], changes: Partial<Bundle> = {}): JsonObject => {
  site = new EngineFixture(testBundle({ gates, ...changes }));
  return site.call('decisions.create', { json: ask('restart_service', 'service:relay') }).body;
};
const submit = (
  decision: JsonObject,
  who: Person,
  changes: Partial<SignedAct>,
  kind: 'approval' | 'exception',
) =>
  site.call('decisions.approve', {
    args: { id: String(decision.decision_id) },
    json: site.sign(who, decision, changes, kind),
  });
const except = (decision: JsonObject, who: Person, changes: Partial<SignedAct> = {}) =>
  submit(decision, who, { role: 'safety_officer', ...changes }, 'exception');
const approve = (decision: JsonObject, who: Person, changes: Partial<SignedAct> = {}) =>
  submit(decision, who, changes, 'approval');
const show = ({ decision_id }: JsonObject) =>
  site.call('decisions.get', { args: { id: String(decision_id) } }).body;
const naming = (decision: JsonObject, id: string): Partial<SignedAct> => ({
  subject_digest: {
    action: String(decision.action_digest),
    policy: String(decision.policy_digest),
    gate: gateDigest(id),
  },
});

describe('an exception', () => {
  test('names its gate where several wait for the role', () => {
    const decision = open([gate('window'), gate('freeze')]);
    expect(except(decision, bob).body).toMatchObject({ code: 'approval.gate_unnamed' });
    expect(except(decision, bob, naming(decision, 'freeze')).status).toBe(202);
    expect(show(decision)).toMatchObject({
      policy: { exceptions: [{ gate: 'freeze', principal: 'bob', role: 'safety_officer' }] },
      enforcement: { allow_if: [expect.stringContaining('gate window'), expect.any(String)] },
    });
    // One is left: an act that names none can only mean that.
    expect(except(decision, bob).status).toBe(202);
    expect(approve(decision, alice).body.status).toBe('authorized');
  });

  test('of a gate that waits for none grants nothing', () => {
    const decision = open([gate('window')]);
    for (const id of ['freeze', 'no-wipe']) {
      expect(except(decision, bob, naming(decision, id)).body.code).toBe('approval.wrong_gate');
    }
    expect(except(decision, bob, naming(decision, 'window')).status).toBe(202);
    expect(except(decision, carol, naming(decision, 'window')).body.code).toBe('approval.wrong_gate');
  });

  test('by a role that the gate does not name grants nothing', () => {
    const decision = open([gate('window')]);
    const act = { ...naming(decision, 'window'), role: 'l3' };
    expect(except(decision, alice, act).body.code).toBe('approval.role_not_required');
    expect(except(decision, alice, { role: 'l3' }).body.code).toBe('approval.role_not_required');
  });

  test('and a vote are two people', () => {
    const decision = open([gate('window')]);
    expect(except(decision, carol).status).toBe(202);
    expect(approve(decision, carol).body).toMatchObject({ code: 'approval.duplicate_person' });
    expect(approve(decision, alice).body.status).toBe('authorized');
    const other = site.call('decisions.create', { json: ask('restart_service', 'service:relay') }).body;
    expect(approve(other, carol).status).toBe(202);
    expect(except(other, carol).body).toMatchObject({ code: 'approval.duplicate_person' });
    expect(except(other, bob).body.status).toBe('authorized');
  });

  test('and a vote are one person where policy says so', () => {
    const decision = open([gate('window')], { approvals: { exception_and_vote: 'allow' } });
    expect(except(decision, carol).status).toBe(202);
    expect(approve(decision, carol).body.status).toBe('authorized');
  });

  test('does not keep its signer from saying no', () => {
    const decision = open([gate('window')]);
    expect(except(decision, carol).status).toBe(202);
    expect(approve(decision, carol, { answer: 'reject' }).body.status).toBe('denied');
  });

  test('ends when its signer said: no permit outlives it', () => {
    const decision = open([gate('window')]);
    const until = new Date(site.clock.now() + 120_000).toISOString();
    expect(except(decision, bob, { ttl_seconds: 120 }).body).toMatchObject({
      policy: { exceptions: [{ expires_at: until }] },
    });
    site.clock.pass(60_000);
    const allowed = approve(decision, alice).body;
    expect(allowed).toMatchObject({ status: 'authorized', permit: { expires_at: until } });
    site.clock.pass(60_000);
    const { id, action_digest } = allowed.permit as JsonObject;
    const late = site.call('permits.redeem', {
      args: { id: String(id) },
      json: { audience: 'gateway', action_digest: String(action_digest) },
    });
    expect(late.body.code).toBe('permit.expired');
  });

  test('that comes last bounds the permit too', () => {
    const decision = open([gate('window')]);
    expect(approve(decision, alice).status).toBe(202);
    const until = new Date(site.clock.now() + 30_000).toISOString();
    expect(except(decision, bob, { ttl_seconds: 30 }).body.permit).toMatchObject({ expires_at: until });
  });

  test('that is over counts no longer, and another is asked for', () => {
    const decision = open([gate('window')]);
    expect(except(decision, bob, { ttl_seconds: 60 }).status).toBe(202);
    site.clock.pass(61_000);
    expect(approve(decision, alice).body).toMatchObject({
      status: 'pending_authority',
      policy: { exceptions: [{ gate: 'window', counts: false }] },
      enforcement: { allow_if: [expect.stringContaining('window')] },
    });
    site.reopen();
    expect(except(decision, bob, { ttl_seconds: 60 }).body.status).toBe('authorized');
  });
});
