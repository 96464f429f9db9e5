import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { verifyPermit } from '../../daemon/formats/permit.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, SITE, START } from './fixture.ts';

const open: EngineFixture[] = [];

function site(bundle = testBundle(), options = {}): EngineFixture {
  const fixture = new EngineFixture(bundle, options);
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

type Permit = JsonObject & { id: string; proof: string; action_digest: string; expires_at: string };
const permitIn = (body: JsonObject) => body.permit as Permit;
const create = (fixture: EngineFixture, json: never, key: string | null = null) =>
  fixture.call('decisions.create', { json, key });
const redeem = (fixture: EngineFixture, permit: Permit, changes: JsonObject = {}) =>
  fixture.call('permits.redeem', {
    args: { id: permit.id },
    json: { audience: 'gateway', action_digest: permit.action_digest, ...changes },
  });
const approve = (fixture: EngineFixture, id: unknown, signed: JsonObject) =>
  fixture.call('decisions.approve', { args: { id: String(id) }, json: signed });
const size = (fixture: EngineFixture) => fixture.call('ledger.entries', { args: { limit: '1' } }).body.size;

describe('a decision', () => {
  test('that is allowed is one entry, and that entry with its proof is the permit', () => {
    const fixture = site();
    const before = Number(size(fixture));
    const { status, body } = create(fixture, ask('read_telemetry', 'sensor:t-1'));
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: 'authorized',
      enforcement: { default: 'deny', result: 'allow' },
      risk: { band: 'low' },
      policy_version: 'engine-test@1',
      ledger: { write_state: 'confirmed', record_id: before },
    });
    expect(size(fixture)).toBe(before + 1);
    const verified = verifyPermit(permitIn(body).proof, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] });
    expect(verified.index).toBe(before);
    expect(verified.permit).toMatchObject({
      decision_id: body.decision_id,
      audience: 'gateway',
      profile: 'dev',
      call: { argv: ['/bin/echo', 't-1'] },
    });
  });

  test('costs one entry, its redemption one, its outcome one', () => {
    const fixture = site();
    const { body } = create(fixture, ask('read_telemetry', 'sensor:t-1'));
    const before = Number(size(fixture));
    expect(redeem(fixture, permitIn(body)).status).toBe(200);
    const done = fixture.call('permits.outcome', {
      args: { id: permitIn(body).id },
      json: { audience: 'gateway', result: 'succeeded', detail: { exit_code: 0 } },
    });
    expect(done.body).toMatchObject({ status: 'executed', permit_state: 'succeeded' });
    expect(size(fixture)).toBe(before + 2);
  });

  test.each([
    ['no actor', { context: { actor: {} } }, 'audit.actor'],
    [
      'an actor that the roster does not know',
      { context: { actor: { id: 'agent:ghost' } } },
      'identity.unknown',
    ],
    ['an environment that does not exist', { context: { environment: 'moon' } }, 'environment.unknown'],
  ])('with %s is denied and recorded', (_, changes, gate) => {
    const fixture = site();
    const { status, body } = create(fixture, ask('read_telemetry', 'sensor:t-1', changes));
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'denied', enforcement: { result: 'deny' } });
    expect((body.policy as { gates: { id: string }[] }).gates.map(({ id }) => id)).toContain(gate);
    const proof = (body.ledger as { proof: string }).proof;
    expect(() => verifyProof(proof, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] })).not.toThrow();
  });

  test('without an environment is judged as production, and says so', () => {
    const fixture = site();
    const { body } = create(fixture, ask('wipe_storage', 'disk:a', { context: { environment: undefined } }));
    expect(body).toMatchObject({ status: 'denied', context: { environment: 'production' } });
  });

  test('of an unknown class is denied without keeping its values', () => {
    const fixture = site();
    const secret = 'hunter2-hunter2';
    const { body } = create(fixture, ask('launch_rocket', 'rocket:r', { payload: { code: secret } }));
    expect(body.status).toBe('denied');
    expect(JSON.stringify(fixture.call('ledger.entries').body)).not.toContain(secret);
  });

  test('without any policy is denied; the engine runs all the same', () => {
    const fixture = new EngineFixture(null);
    open.push(fixture);
    const { body } = create(
      fixture,
      ask('read_telemetry', 'sensor:t-1', { payload: { token: 'x'.repeat(20) } }),
    );
    expect(body).toMatchObject({ status: 'denied', policy_version: null });
    expect(JSON.stringify(fixture.call('ledger.entries').body)).not.toContain('x'.repeat(20));
    expect(fixture.call('status.get').body).toMatchObject({ ready: false });
  });

  test('for an environment that the site does not pin is denied, even if the bundle knows it', () => {
    const fixture = new EngineFixture(null);
    open.push(fixture);
    fixture.apply(testBundle(), 1, ['production']);
    const staged = ask('read_telemetry', 'sensor:t-1', { context: { environment: 'staging' } });
    expect(create(fixture, staged).body).toMatchObject({ status: 'denied', policy_version: null });
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body.status).toBe('authorized');
  });

  test('re-evaluates another one by linking to it', () => {
    const fixture = site();
    const first = create(fixture, ask('wipe_storage', 'disk:a')).body;
    const second = create(
      fixture,
      ask('wipe_storage', 'disk:a', { linked_to: String(first.decision_id) }),
    ).body;
    expect(second.linked_to).toBe(first.decision_id);
    const wrong = create(fixture, ask('wipe_storage', 'disk:a', { linked_to: 'dec_none' }));
    expect(wrong).toMatchObject({ status: 409, body: { code: 'decision.link_not_found' } });
  });
});

describe('Idempotency-Key', () => {
  test('gets the first answer again, after a restart too, and another request under it is refused', () => {
    const fixture = site();
    const request = ask('read_telemetry', 'sensor:t-1');
    const first = create(fixture, request, 'k-1').body;
    const before = size(fixture);
    expect(create(fixture, request, 'k-1').body.decision_id).toBe(first.decision_id);
    expect(size(fixture)).toBe(before);
    fixture.reopen();
    expect(create(fixture, request, 'k-1').body.decision_id).toBe(first.decision_id);
    expect(create(fixture, ask('read_telemetry', 'sensor:t-2'), 'k-1')).toMatchObject({
      status: 409,
      body: { code: 'idempotency.mismatch' },
    });
  });
});

describe('authority', () => {
  test('one signature of the right role authorizes; the approval entry carries the permit', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay', { payload: { grace_seconds: 5 } }));
    expect(asked.status).toBe(202);
    expect(asked.body).toMatchObject({ status: 'pending_authority', enforcement: { result: 'escalate' } });
    const { status, body } = approve(fixture, asked.body.decision_id, fixture.sign(alice, asked.body));
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'authorized', authority: { satisfied: true } });
    const { entry, permit } = verifyPermit(permitIn(body).proof, {
      origin: `${SITE}/ledger`,
      vkeys: [fixture.vkey],
    });
    expect(entry.type).toBe('approval.added');
    expect(permit.call).toMatchObject({ argv: ['/bin/echo', 'restart', 'relay', '--grace=5'] });
  });

  test('two groups need two people, in any order', () => {
    const fixture = site();
    const asked = create(fixture, ask('install_firmware', 'device:pump')).body;
    const first = approve(fixture, asked.decision_id, fixture.sign(bob, asked, { role: 'safety_officer' }));
    expect(first).toMatchObject({ status: 202, body: { status: 'pending_authority' } });
    expect(approve(fixture, asked.decision_id, fixture.sign(alice, asked)).body.status).toBe('authorized');
  });

  test('one person with both roles counts once', () => {
    const fixture = site();
    const asked = create(fixture, ask('install_firmware', 'device:pump')).body;
    approve(fixture, asked.decision_id, fixture.sign(carol, asked));
    const again = approve(fixture, asked.decision_id, fixture.sign(carol, asked, { role: 'safety_officer' }));
    expect(again).toMatchObject({ status: 409, body: { code: 'approval.duplicate_person' } });
    expect(fixture.call('decisions.get', { args: { id: String(asked.decision_id) } }).body.status).toBe(
      'pending_authority',
    );
  });

  test('a rejection denies for good', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    const rejected = approve(fixture, asked.decision_id, fixture.sign(alice, asked, { answer: 'reject' }));
    expect(rejected.body).toMatchObject({ status: 'denied', enforcement: { result: 'deny' } });
    const late = approve(fixture, asked.decision_id, fixture.sign(carol, asked));
    expect(late).toMatchObject({ status: 409, body: { code: 'decision.terminal' } });
  });

  test('a forged signature is refused unrecorded; a real one that does not count is recorded', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    const before = Number(size(fixture));
    const { act } = fixture.sign(alice, asked);
    const { signature } = fixture.sign(bob, asked);
    expect(approve(fixture, asked.decision_id, { act, signature }).body.code).toBe('approval.bad_signature');
    expect(size(fixture)).toBe(before);
    const wrongRole = approve(fixture, asked.decision_id, fixture.sign(bob, asked));
    expect(wrongRole.body.code).toBe('approval.role_not_held');
    expect(size(fixture)).toBe(before + 1);
  });

  test('an act counts once, for ever', () => {
    const fixture = site();
    const asked = create(fixture, ask('install_firmware', 'device:pump')).body;
    const signed = fixture.sign(alice, asked);
    approve(fixture, asked.decision_id, signed);
    fixture.reopen();
    expect(approve(fixture, asked.decision_id, signed).body.code).toBe('approval.nonce_used');
  });
});

describe('a permit', () => {
  test('is redeemed once', () => {
    const fixture = site();
    const permit = permitIn(create(fixture, ask('read_telemetry', 'sensor:t-1')).body);
    expect(redeem(fixture, permit).status).toBe(200);
    expect(redeem(fixture, permit)).toMatchObject({ status: 409, body: { code: 'permit.already_redeemed' } });
    fixture.reopen();
    expect(redeem(fixture, permit).body.code).toBe('permit.already_redeemed');
  });

  test('in one batch is redeemed once too: exactly one of two wins', () => {
    const fixture = site();
    const permit = permitIn(create(fixture, ask('read_telemetry', 'sensor:t-1')).body);
    const call = {
      method: 'permits.redeem' as const,
      args: { id: permit.id },
      body: JSON.stringify({ audience: 'gateway', action_digest: permit.action_digest }),
      key: null,
      peer: { socket: 'redeem' as const, uid: null },
    };
    const { replies } = fixture.engine.process([call, call]);
    expect(replies.map(({ status }) => status)).toEqual([200, 409]);
  });

  test.each([
    ['another audience', { audience: 'other' }, 'permit.wrong_audience'],
    ['another action', { action_digest: 'f'.repeat(64) }, 'permit.wrong_digest'],
  ])('is not for %s', (_, changes, code) => {
    const fixture = site();
    const permit = permitIn(create(fixture, ask('read_telemetry', 'sensor:t-1')).body);
    expect(redeem(fixture, permit, changes).body.code).toBe(code);
  });

  test('expires, and its expiry is recorded', () => {
    const fixture = site();
    const body = create(fixture, ask('read_telemetry', 'sensor:t-1')).body;
    const permit = permitIn(body);
    fixture.clock.pass(Date.parse(permit.expires_at) - START);
    expect(redeem(fixture, permit).body.code).toBe('permit.expired');
    fixture.engine.tick();
    expect(fixture.call('decisions.get', { args: { id: String(body.decision_id) } }).body.status).toBe(
      'expired',
    );
  });

  test('dies with the key that approved it', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    const permit = permitIn(approve(fixture, asked.decision_id, fixture.sign(alice, asked)).body);
    const bundle = testBundle();
    const { alice: gone, ...principals } = bundle.principals;
    expect(gone).toBeDefined();
    const next = { ...bundle, principals, metadata: { ...bundle.metadata, version: 2 } };
    expect(fixture.apply(next, 2).body).toMatchObject({ applied: true });
    expect(redeem(fixture, permit).body.code).toBe('permit.revoked');
  });

  test('hands the sensitive value over at redemption only; the ledger never holds it', () => {
    const fixture = site();
    const body = create(fixture, ask('set_pin', 'door:main', { payload: { pin: '4711' } })).body;
    expect(JSON.stringify(body)).not.toContain('4711');
    expect(JSON.stringify(fixture.call('ledger.entries').body)).not.toContain('4711');
    const redeemed = redeem(fixture, permitIn(body));
    expect(redeemed.body).toMatchObject({ sensitive: { pin: { value: '4711' } } });
    expect(JSON.stringify(fixture.call('ledger.entries').body)).not.toContain('4711');
  });

  test('of an unknown outcome is closed by a signed reconciliation only', () => {
    const fixture = site();
    const body = create(fixture, ask('read_telemetry', 'sensor:t-1')).body;
    const { id, ...rest } = permitIn(body);
    redeem(fixture, { id, ...rest } as Permit);
    fixture.call('permits.outcome', { args: { id }, json: { audience: 'gateway', result: 'unknown' } });
    const args = { id: String(body.decision_id) };
    expect(
      fixture.call('decisions.review', { args, json: { actor: { id: 'bob', role: null }, note: 'ok' } })
        .status,
    ).toBe(409);
    const signed = fixture.sign(alice, body, { answer: 'succeeded' }, 'reconcile');
    const done = fixture.call('decisions.reconcile', { args, json: signed });
    expect(done.body).toMatchObject({ permit_state: 'succeeded', outcome: { reconciled: true } });
    const review = fixture.call('decisions.review', {
      args,
      json: { actor: { id: 'bob', role: null }, note: 'ok' },
    });
    expect(review.body).toMatchObject({ status: 'reviewed', reviews: [{ principal: 'bob', note: 'ok' }] });
  });
});

describe('cancel', () => {
  test('is for the requester or an operator, and not after redemption', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    const args = { id: String(asked.decision_id) };
    const json = { actor: { id: 'mallory', role: null }, reason: 'no' };
    const peer = { socket: 'request' as const, uid: null };
    expect(fixture.call('decisions.cancel', { args, json, peer }).body.code).toBe('decision.not_requester');
    const own = { ...json, actor: { id: 'agent:ops-1', role: null } };
    const { body } = fixture.call('decisions.cancel', { args, json: own, peer });
    expect(body).toMatchObject({ status: 'cancelled', enforcement: { result: 'deny', allow_if: [] } });
    // What spoke for it when it was asked is not a reason any more.
    expect((body.enforcement as { reasons: string[] }).reasons).toEqual([
      'Cancelled by agent:ops-1: no',
      ...(body.risk as { reasons: string[] }).reasons.map((reason) => `Risk: ${reason}`),
    ]);
    expect(approve(fixture, asked.decision_id, fixture.sign(alice, asked)).body.code).toBe(
      'decision.terminal',
    );
  });
});

describe('policy', () => {
  test('whose bundle was lost on disk denies, until the same update is imported again', () => {
    const fixture = site();
    const bundles = join(fixture.paths.policy, 'bundles');
    for (const name of readdirSync(bundles)) rmSync(join(bundles, name));
    fixture.reopen();
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body.status).toBe('denied');
    expect(fixture.apply(testBundle(), 1).body).toEqual({ applied: true, unchanged: true });
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body.status).toBe('authorized');
  });

  test('only moves forward', () => {
    const fixture = site();
    const bundle = testBundle();
    const older = { ...bundle, metadata: { ...bundle.metadata, description: 'another' } };
    expect(fixture.apply(older, 1).body.code).toBe('policy.not_newer');
    const next = { ...bundle, metadata: { ...bundle.metadata, version: 3 } };
    expect(fixture.apply(next, 2).body.applied).toBe(true);
    const back = { ...bundle, metadata: { ...bundle.metadata, version: 2 } };
    expect(fixture.apply(back, 3).body.code).toBe('policy.not_newer');
  });

  test('pending decisions keep the rules they were evaluated under', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    const bundle = testBundle();
    fixture.apply({ ...bundle, metadata: { ...bundle.metadata, version: 2 } }, 2);
    const { body } = approve(fixture, asked.decision_id, fixture.sign(alice, asked));
    expect(body).toMatchObject({ status: 'authorized', policy_version: 'engine-test@1' });
  });
});

describe('time', () => {
  test('that stands before the floor is uncertain: nothing is approved, nothing is allowed', () => {
    const fixture = site();
    const asked = create(fixture, ask('restart_service', 'service:relay')).body;
    fixture.clock.pass(10 * 60_000);
    fixture.engine.syncHead();
    fixture.clock.wall = 0;
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body).toMatchObject({
      status: 'evaluated',
      time_trust: 'uncertain',
      enforcement: { result: 'queue' },
    });
    expect(approve(fixture, asked.decision_id, fixture.sign(alice, asked)).body.code).toBe(
      'approval.time_uncertain',
    );
    fixture.engine.tick();
    expect(JSON.stringify(fixture.call('ledger.entries').body)).toContain('time.uncertain');
  });

  test('that is set back lengthens no permit given before, and one given afterwards goes by it', () => {
    const bundle = testBundle();
    Object.assign(bundle.actions.read_telemetry ?? {}, { time_uncertain: 'allow' });
    const fixture = site(bundle);
    const before = create(fixture, ask('read_telemetry', 'sensor:t-1')).body;
    fixture.clock.pass(6 * 60_000);
    fixture.clock.wall -= 5 * 60_000;
    expect(redeem(fixture, permitIn(before))).toMatchObject({
      status: 410,
      body: { code: 'permit.expired' },
    });
    const after = create(fixture, ask('read_telemetry', 'sensor:t-1')).body;
    expect(after).toMatchObject({ status: 'authorized', time_trust: 'uncertain' });
    expect(redeem(fixture, permitIn(after)).status).toBe(200);
  });

  test('that jumped a year ahead is not believed and does not poison the floor', () => {
    const fixture = site();
    fixture.clock.wall += 365 * 86_400_000;
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body.time_trust).toBe('uncertain');
    fixture.engine.syncHead();
    fixture.clock.wall -= 365 * 86_400_000;
    fixture.reopen();
    expect(create(fixture, ask('read_telemetry', 'sensor:t-1')).body.time_trust).toBe('floor');
  });
});

describe('the reply to an allowed request', () => {
  test.each([
    ['plain', {}],
    [
      'with everything',
      { context: { labels: { mission: 'é "q" \\ 😀' }, trace: { correlation_id: 'c-1', parent_id: null } } },
    ],
  ])('%s, printed from the texts of its entry, says what the general way says', (_, changes) => {
    const bundle = { ...testBundle(), labels: ['mission'] };
    const fixture = site(bundle);
    const { body } = create(fixture, ask('read_telemetry', 'sensor:t-1', changes));
    expect(body.status).toBe('authorized');
    const again = fixture.call('decisions.get', { args: { id: String(body.decision_id) } }).body;
    expect(body).toEqual(again);
    expect(Object.keys(body)).toEqual(Object.keys(again));
  });
});
