import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { parsePublicKeyLine } from '../../daemon/formats/sshsig.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person, person } from './fixture.ts';

const mallory = person('mallory');
let site: EngineFixture;

function bundle(version: number, changes: Partial<NonNullable<Bundle['suspension']>> = {}): Bundle {
  const base = testBundle();
  return {
    ...base,
    metadata: { ...base.metadata, version },
    suspension: { roles: ['safety_officer'], ...changes },
  };
}

beforeEach(() => {
  site = new EngineFixture(bundle(1));
});
afterEach(() => site.close());

const keyOf = (who: Person) => parsePublicKeyLine(who.line).fingerprint;

function suspend(who: Person, subject: string, changes: Partial<SignedAct> = {}) {
  const act = site.sign(
    who,
    {},
    { subject, subject_digest: {}, answer: 'suspend', role: 'safety_officer', ...changes },
    'suspend',
  );
  return { ...site.call('keys.suspend', { json: act }), act };
}

const create = (actionClass: string, target: string): JsonObject =>
  site.call('decisions.create', { json: ask(actionClass, target) }).body;
const show = ({ decision_id }: JsonObject): JsonObject =>
  site.call('decisions.get', { args: { id: String(decision_id) } }).body;
const approve = (who: Person, decision: JsonObject, changes: Partial<SignedAct> = {}) =>
  site.call('decisions.approve', {
    args: { id: String(decision.decision_id) },
    json: site.sign(who, decision, changes),
  });
function redeem(decision: JsonObject) {
  const { id, action_digest } = show(decision).permit as { id: string; action_digest: string };
  return site.call('permits.redeem', { args: { id }, json: { audience: 'gateway', action_digest } });
}
const suspended = () => site.call('keys.suspended').body.suspended as JsonObject[];

describe('a suspended key', () => {
  test('counts no longer for a new approval', () => {
    const waiting = create('restart_service', 'service:relay');
    expect(suspend(bob, keyOf(alice)).status).toBe(200);
    expect(approve(alice, waiting).body.code).toBe('approval.revoked_key');
    expect(show(waiting).status).toBe('pending_authority');
  });

  test('counts no longer for an approval that was given, and the decision says so at once', () => {
    const waiting = create('install_firmware', 'device:pump');
    expect(approve(alice, waiting).status).toBe(202);
    const before = show(waiting).enforcement as { allow_if: string[] };
    expect(before.allow_if.join()).not.toContain('l3');
    suspend(bob, keyOf(alice));
    const after = show(waiting);
    expect(after.authority).toMatchObject({ received: [{ principal: 'alice', counts: false }] });
    expect((after.enforcement as { allow_if: string[] }).allow_if.join()).toContain('l3');
    expect(approve(bob, waiting, { role: 'safety_officer' }).status).toBe(202);
    expect(show(waiting).status).toBe('pending_authority');
    expect(approve(carol, waiting).status).toBe(200);
    expect(show(waiting).status).toBe('authorized');
  });

  test('counts no longer for a permit that was not redeemed', () => {
    const allowed = create('restart_service', 'service:relay');
    expect(approve(alice, allowed).status).toBe(200);
    suspend(bob, keyOf(alice));
    expect(redeem(allowed)).toMatchObject({ status: 409, body: { code: 'permit.revoked' } });
  });

  test('cannot suspend others, but anybody may suspend their own', () => {
    expect(suspend(alice, keyOf(bob), { role: 'l3' }).body.code).toBe('approval.role_not_required');
    expect(suspend(alice, keyOf(alice), { role: 'l3' }).status).toBe(200);
    expect(suspend(bob, keyOf(bob)).status).toBe(200);
    expect(suspend(bob, keyOf(carol)).body.code).toBe('approval.revoked_key');
  });

  test('stays suspended after a crash, a rebuild of memory, and any number of bundles', () => {
    suspend(bob, keyOf(alice));
    site.reopen();
    expect(suspended()).toMatchObject([{ suspended: keyOf(alice), by: 'bob', role: 'safety_officer' }]);
    expect(site.apply(bundle(2), 2).status).toBe(200);
    expect(approve(alice, create('restart_service', 'service:relay')).body.code).toBe('approval.revoked_key');
  });

  test('counts again only when a new bundle names the act that suspended it', () => {
    suspend(bob, keyOf(alice));
    const digest = String(suspended()[0]?.act_digest);
    expect(site.apply(bundle(2, { lifted: ['0'.repeat(64)] }), 2).status).toBe(200);
    expect(suspended()).toHaveLength(1);
    expect(site.apply(bundle(3, { lifted: [digest] }), 3).status).toBe(200);
    expect(suspended()).toEqual([]);
    expect(approve(alice, create('restart_service', 'service:relay')).status).toBe(200);
    // A second suspension is another act: the same list does not lift it, not even when it comes again.
    site.clock.pass(1_000);
    expect(suspend(bob, keyOf(alice)).status).toBe(200);
    expect(site.apply(bundle(4, { lifted: [digest] }), 4).status).toBe(200);
    expect(suspended()).toHaveLength(1);
    site.reopen();
    expect(suspended()).toHaveLength(1);
  });
});

describe('a suspended principal', () => {
  test('is denied what it asks, with a gate of its own that a replay sees too', () => {
    expect(suspend(bob, 'agent:ops-1').status).toBe(200);
    const denied = create('read_telemetry', 'sensor:one');
    expect(denied).toMatchObject({ status: 'denied' });
    expect(JSON.stringify(denied.policy)).toContain('actor.suspended');
    const replay = site.call('decisions.replay', { args: { id: String(denied.decision_id) } }).body;
    expect(replay).toMatchObject({ differences: [] });
  });

  test('loses what it was allowed before and did not use', () => {
    const allowed = create('read_telemetry', 'sensor:one');
    suspend(bob, 'agent:ops-1');
    expect(redeem(allowed).body.code).toBe('permit.revoked');
  });
});

describe('the act of suspending', () => {
  test.each<[string, Person, string, Partial<SignedAct>, string]>([
    ['by a key of nobody', mallory, 'alice', {}, 'approval.unknown_key'],
    ['in a role that is not held', alice, 'bob', {}, 'approval.role_not_held'],
    ['for another site', bob, 'alice', { site: 'other.example' }, 'approval.wrong_site'],
    [
      'that is over',
      bob,
      'alice',
      { issued_at: '2031-02-01T00:00:00.000Z', ttl_seconds: 60 },
      'approval.expired',
    ],
    ['of somebody unknown', bob, 'nobody', {}, 'key.not_found'],
    ['with another answer', bob, 'alice', { answer: 'approve' }, 'approval.malformed'],
    [
      'that binds something else',
      bob,
      'alice',
      { subject_digest: { action: '0'.repeat(64) } },
      'approval.wrong_digest',
    ],
  ])('does nothing %s', (_, who, subject, changes, code) => {
    const size = site.call('status.get').body.ledger as { size: number };
    expect(suspend(who, subject, changes).body.code).toBe(code);
    expect(site.call('status.get').body.ledger).toMatchObject({ size: size.size });
    expect(suspended()).toEqual([]);
  });

  test('counts once', () => {
    const { act } = suspend(bob, 'alice');
    expect(site.call('keys.suspend', { json: act }).body.code).toBe('approval.nonce_used');
  });

  test('counts while the clock is doubted, since it only narrows', () => {
    site.clock.wall -= 40 * 86_400_000;
    site.engine.tick();
    expect(suspend(bob, 'alice', { issued_at: '2031-03-01T12:00:00.000Z' }).status).toBe(200);
    const entries = site.call('ledger.entries', { args: { from: '0', limit: '100' } }).body;
    expect(JSON.stringify(entries)).toContain('key.suspended');
  });

  test('is nobody’s where the policy names no role', () => {
    site.close();
    site = new EngineFixture(testBundle());
    expect(suspend(bob, 'alice').body.code).toBe('approval.role_not_required');
  });
});
