import { afterEach, describe, expect, test } from 'vitest';
import type { BundleBreakGlass } from '../../daemon/core/bundle.ts';
import { completeReply } from '../../daemon/engine/complete.ts';
import { internal, textOf } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { checkLedger } from '../oracle.ts';
import { GlassSite, glassBundle, lena, leo, PLACE, REASON, SECTION } from './breakglass-world.ts';
import { alice, ask, bob } from './bundle.ts';
import { person, SITE } from './fixture.ts';

const open: GlassSite[] = [];
const MINUTE = 60_000;

function site(section: Partial<BundleBreakGlass> = {}): GlassSite {
  const fixture = new GlassSite(glassBundle(section));
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const restart = (fixture: GlassSite, target = 'service:relay-2', changes: object = {}): JsonObject =>
  fixture.call('decisions.create', { json: ask('restart_service', target, changes) }).body;
const entries = (fixture: GlassSite) =>
  checkLedger(fixture.paths, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] }).entries;
const types = (fixture: GlassSite) => entries(fixture).map(({ type }) => type);
const result = ({ enforcement }: JsonObject) => (enforcement as JsonObject).result;
/** What status says is wrong because of break-glass. */
const loud = (fixture: GlassSite): string[] => {
  const { degraded } = fixture.engine.status() as { degraded: { component: string; cause: string }[] };
  return degraded.filter(({ component }) => component === 'breakglass').map(({ cause }) => cause);
};
/** Lets a second pass and the clock do its work. */
function tick(fixture: GlassSite, ms = 1_000) {
  fixture.clock.pass(ms);
  fixture.engine.tick();
}

describe('under an open session', () => {
  test('exactly what it was opened for is allowed at once, marked, and on record before', () => {
    const fixture = site();
    expect(result(restart(fixture))).toBe('deny');
    const session = fixture.opened();
    expect(session).toMatchObject({
      state: 'active',
      principal: 'lena',
      scope: { ...PLACE, reason: REASON },
      review: { roles: ['reviewer', 'l5'], within_ms: 120 * MINUTE },
    });
    const decision = restart(fixture);
    expect(decision).toMatchObject({
      status: 'authorized',
      breakglass: { id: session.id, until: session.expires_at },
      authority: { required: [] },
      permit: { breakglass: session.id },
    });
    const gates = (decision.policy as { gates: JsonObject[] }).gates;
    expect(gates).toEqual([{ id: 'window', result: 'lifted', reason: 'Services restart in their window.' }]);
    expect(fixture.redeem(decision).status).toBe(200);
    expect(fixture.redeem(decision).body.code).toBe('permit.already_redeemed');
    expect(types(fixture).slice(-3)).toEqual([
      'breakglass.activated',
      'decision.authorized',
      'permit.redeemed',
    ]);
  });

  test('the entry replays to the same verdict, also after the session is over', () => {
    const fixture = site();
    const session = fixture.opened();
    const { decision_id } = restart(fixture);
    fixture.about(session, 'end');
    const { body } = fixture.call('decisions.replay', { args: { id: String(decision_id) } });
    expect(body).toMatchObject({ differences: [], replayed: { result: 'allow', gates: ['window lifted'] } });
  });

  test('the same decision is read back as it was first answered', () => {
    const fixture = site();
    fixture.opened();
    const decision = restart(fixture);
    const read = fixture.call('decisions.get', { args: { id: String(decision.decision_id) } }).body;
    expect({ ...read, permit: null }).toEqual({ ...decision, permit: null });
    expect((read.permit as JsonObject).breakglass).toBe((decision.permit as JsonObject).breakglass);
  });

  test.each([
    ['another target by one character', 'service:relay-3', {}],
    ['a longer target', 'service:relay-22', {}],
    ['another environment', 'service:relay-2', { context: { environment: 'staging' } }],
    ['another actor', 'service:relay-2', { context: { actor: { id: 'agent:ops-2', role: 'agent' } } }],
  ])('%s is as it ever was', (_what, target, changes) => {
    const fixture = site();
    fixture.opened();
    const decision = restart(fixture, target, changes);
    expect(decision.breakglass).toBeUndefined();
    expect(decision.permit).toBeUndefined();
  });

  test('a class of its own is not another class', () => {
    const fixture = site();
    fixture.opened({ place: { class: 'install_firmware', target: { type: 'device', id: 'pump-1' } } });
    const decision = fixture.call('decisions.create', { json: ask('wipe_storage', 'disk:sda') }).body;
    expect(decision).toMatchObject({ status: 'denied' });
    expect(decision.breakglass).toBeUndefined();
    const firmware = fixture.call('decisions.create', {
      json: ask('install_firmware', 'device:pump-1'),
    }).body;
    expect(firmware).toMatchObject({ status: 'authorized', authority: { required: [] } });
  });

  test.each([
    ['a payload field off the allowlist', { payload: { colour: 'red' } }, 'payload.allowlist'],
    ['a field out of its range', { payload: { grace_seconds: 61 } }, 'payload.field'],
    ['a secret in a text', { context: { request_source: 'AKIAIOSFODNN7EXAMPLE' } }, 'secrets.pattern'],
    [
      'a role that the actor does not hold',
      { context: { actor: { id: 'agent:ops-1', role: 'l5' } } },
      'identity.role',
    ],
  ])('%s is denied all the same, and marked', (_what, changes, gate) => {
    const fixture = site();
    const session = fixture.opened();
    const decision = restart(fixture, 'service:relay-2', changes);
    expect(decision).toMatchObject({ status: 'denied', breakglass: { id: session.id } });
    const gates = (decision.policy as { gates: JsonObject[] }).gates;
    expect(gates.filter(({ result: is }) => is === 'fail').map(({ id }) => id)).toContain(gate);
  });

  test('a gate that the policy does not let it lift denies', () => {
    const fixture = site({ lifts: { authority: true } });
    fixture.opened();
    expect(restart(fixture)).toMatchObject({ status: 'denied' });
  });

  test('with gates alone lifted, people still approve, in its time only', () => {
    const fixture = site({ lifts: { authority: false, gates: ['window'] } });
    const session = fixture.opened();
    const [first, second] = [restart(fixture), restart(fixture)];
    expect(first).toMatchObject({ status: 'pending_authority', expires_at: session.expires_at });
    const approve = (decision: JsonObject) =>
      fixture.call('decisions.approve', {
        args: { id: String(decision.decision_id) },
        json: fixture.sign(alice, decision),
      });
    const allowed = approve(first).body;
    expect(allowed).toMatchObject({ status: 'authorized', permit: { breakglass: session.id } });
    fixture.about(session, 'end');
    expect(approve(second).body.code).toBe('breakglass.ended');
    expect(fixture.redeem(allowed).body.code).toBe('breakglass.ended');
  });

  test('anybody whom the policy lets ask may, where no actor is named', () => {
    const fixture = site();
    fixture.opened({ place: { actor: null } });
    const context = { actor: { id: 'agent:ops-2', role: 'agent' } };
    expect(restart(fixture, 'service:relay-2', { context }).status).toBe('authorized');
    const nobody = { actor: { id: 'agent:unknown', role: 'agent' } };
    expect(restart(fixture, 'service:relay-2', { context: nobody }).status).toBe('denied');
  });

  test('a permit lives no longer than the session', () => {
    const fixture = site();
    const session = fixture.opened();
    tick(fixture, 28 * MINUTE);
    const decision = restart(fixture);
    expect((decision.permit as JsonObject).expires_at).toBe(session.expires_at);
  });
});

describe('a session ends', () => {
  test('by time, and with it the permits that were not used', () => {
    const fixture = site();
    const session = fixture.opened();
    const decision = restart(fixture);
    fixture.clock.pass(30 * MINUTE);
    // Before the clock has put anything on record.
    expect(fixture.redeem(decision).body.code).toMatch(/permit.expired|breakglass.ended/);
    expect(result(restart(fixture))).toBe('deny');
    fixture.engine.tick();
    expect(fixture.session(session)).toMatchObject({ state: 'ended', ended: { why: 'time', by: null } });
    expect(types(fixture)).toContain('breakglass.ended');
  });

  test('by hand, at once', () => {
    const fixture = site();
    const session = fixture.opened();
    const decision = restart(fixture);
    expect(fixture.about(session, 'end', { who: leo }).body).toMatchObject({
      state: 'ended',
      ended: { why: 'by_hand', by: 'leo' },
    });
    expect(fixture.redeem(decision).body.code).toBe('breakglass.ended');
    expect(result(restart(fixture))).toBe('deny');
    expect(fixture.about(session, 'end').body.code).toBe('breakglass.wrong_state');
  });

  test('and by nobody who may not', () => {
    const fixture = site();
    const session = fixture.opened();
    expect(fixture.about(session, 'end', { who: alice, act: { role: 'l3' } }).body.code).toBe(
      'approval.role_not_required',
    );
    expect(fixture.session(session).state).toBe('active');
  });

  test('when the key that opened it is revoked', () => {
    const fixture = site();
    const session = fixture.opened();
    const decision = restart(fixture);
    const bundle = glassBundle();
    bundle.metadata.version = 2;
    Object.assign(bundle.principals.lena ?? {}, { status: 'suspended' });
    fixture.apply(bundle, 2);
    expect(fixture.redeem(decision).status).toBe(409);
    expect(result(restart(fixture))).toBe('deny');
    tick(fixture);
    expect(fixture.session(session)).toMatchObject({ state: 'ended', ended: { why: 'key_revoked' } });
  });

  test('when a new policy does not cover it any more', () => {
    const fixture = site();
    const session = fixture.opened();
    const bundle = glassBundle({ covers: [{ classes: ['wipe_storage'] }] });
    bundle.metadata.version = 2;
    fixture.apply(bundle, 2);
    expect(result(restart(fixture))).toBe('deny');
    tick(fixture);
    expect(fixture.session(session)).toMatchObject({ ended: { why: 'policy' } });
  });

  test('no later for a clock that is set back, in steps too small to notice or in one', () => {
    const fixture = site();
    const session = fixture.opened();
    for (let minute = 0; minute < 31; minute++) {
      fixture.clock.mono += MINUTE;
      fixture.clock.wall -= MINUTE / 2;
      fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:s1') });
    }
    expect(result(restart(fixture))).toBe('deny');
    fixture.engine.tick();
    fixture.engine.tick();
    expect(fixture.session(session)).toMatchObject({ ended: { why: 'time' } });
  });

  test('no sooner for a clock that jumps, within the run that opened it', () => {
    const fixture = site({ lifts: { authority: true, gates: ['window', 'time.uncertain'] } });
    fixture.opened();
    fixture.clock.wall += 365 * 24 * 60 * MINUTE;
    tick(fixture);
    expect(restart(fixture)).toMatchObject({ status: 'authorized', time_trust: 'uncertain' });
    fixture.clock.pass(29 * MINUTE);
    expect(restart(fixture).status).toBe('authorized');
    fixture.clock.pass(1 * MINUTE);
    expect(restart(fixture).permit).toBeUndefined();
  });

  test('when the machine starts again and nobody can tell the time', () => {
    const fixture = site({ lifts: { authority: true, gates: ['window', 'time.uncertain'] } });
    const session = fixture.opened();
    tick(fixture, 5 * MINUTE);
    fixture.engine.syncHead();
    fixture.clock.boots(Date.parse('1970-01-01T00:05:00Z'));
    fixture.reopen();
    expect(restart(fixture).permit).toBeUndefined();
    tick(fixture);
    tick(fixture);
    expect(fixture.session(session)).toMatchObject({ ended: { why: 'time_uncertain' } });
  });
});

describe('a restart', () => {
  test('keeps the session open for what is left of it, and no longer', () => {
    const fixture = site();
    const session = fixture.opened();
    const decision = restart(fixture);
    fixture.clock.pass(10 * MINUTE);
    fixture.reopen();
    expect(restart(fixture)).toMatchObject({
      status: 'authorized',
      breakglass: { until: session.expires_at },
    });
    expect(fixture.redeem(decision).body.code).toBe('permit.expired');
    fixture.clock.pass(20 * MINUTE);
    expect(result(restart(fixture))).toBe('deny');
  });

  test('makes nothing longer by a clock that stands earlier than the activation', () => {
    const fixture = site();
    fixture.opened();
    fixture.clock.wall -= MINUTE;
    fixture.reopen();
    fixture.clock.pass(30 * MINUTE);
    expect(result(restart(fixture))).toBe('deny');
  });

  test('forgets neither reviews that wait nor spent nonces', () => {
    const fixture = site();
    const activation = fixture.activation();
    const session = fixture.call('breakglass.activate', { json: activation }).body;
    fixture.about(session, 'end');
    fixture.reopen();
    const again = fixture.call('breakglass.activate', { json: activation });
    expect(again.body.code).toBe('approval.nonce_used');
    tick(fixture, 121 * MINUTE);
    expect(fixture.session(session)).toMatchObject({ state: 'overdue' });
    fixture.reopen();
    expect(fixture.activate().body.code).toBe('breakglass.review_overdue');
  });
});

describe('the review', () => {
  test('is by somebody else, once, after the end', () => {
    const fixture = site();
    const session = fixture.opened();
    expect(fixture.about(session, 'review').body.code).toBe('breakglass.wrong_state');
    fixture.about(session, 'end');
    const own = fixture.about(session, 'review', { who: lena, act: { role: 'l5' } });
    expect(own).toMatchObject({ status: 422, body: { code: 'approval.self' } });
    const strange = fixture.about(session, 'review', { who: bob, act: { role: 'safety_officer' } });
    expect(strange.body.code).toBe('approval.role_not_required');
    const { body } = fixture.about(session, 'review', { act: { reason: 'one restart, as asked' } });
    expect(body).toMatchObject({
      state: 'closed',
      reviewed: { principal: 'rita', note: 'one restart, as asked' },
    });
    expect(fixture.about(session, 'review').body.code).toBe('breakglass.wrong_state');
  });

  test('overdue is an entry, a degraded status, and blocks the next one where policy says so', () => {
    const fixture = site();
    const session = fixture.opened();
    fixture.about(session, 'end');
    tick(fixture, 119 * MINUTE);
    expect(fixture.engine.status()).toMatchObject({ breakglass: { unreviewed: 1, overdue: 0 } });
    expect(loud(fixture)).toEqual([]);
    tick(fixture, 2 * MINUTE);
    tick(fixture);
    expect(types(fixture).filter((type) => type === 'breakglass.overdue')).toHaveLength(1);
    const status = { breakglass: { open: [], unreviewed: 1, overdue: 1 } };
    expect(fixture.engine.status()).toMatchObject(status);
    expect(loud(fixture)).toHaveLength(1);
    expect(fixture.activate()).toMatchObject({ status: 409, body: { code: 'breakglass.review_overdue' } });
    expect(fixture.about(session, 'review').status).toBe(200);
    expect(fixture.activate().status).toBe(200);
  });

  test('overdue does not block where policy only escalates', () => {
    const fixture = site({ review: { ...SECTION.review, overdue: 'escalate' } });
    fixture.about(fixture.opened(), 'end');
    tick(fixture, 121 * MINUTE);
    expect(fixture.activate().status).toBe(200);
  });
});

describe('status', () => {
  test('is loud while the glass is broken', () => {
    const fixture = site();
    const session = fixture.opened();
    expect(fixture.engine.status()).toMatchObject({ ready: true, breakglass: { open: [session.id] } });
    expect(loud(fixture)).toEqual([expect.stringContaining('restart_service on service:relay-2')]);
  });
});

const staging = { environment: 'staging' };

describe('no session is opened', () => {
  test.each<[string, Parameters<GlassSite['activate']>[0], string, number]>([
    ['by a key of nobody', { who: person('mallory') }, 'approval.unknown_key', 0],
    ['in a role that is not held', { who: alice }, 'approval.role_not_held', 1],
    [
      'in a role that policy does not name',
      { who: lena, act: { role: 'l3' } },
      'approval.role_not_required',
      1,
    ],
    ['for another site', { act: { site: 'outpost-8.example' } }, 'approval.wrong_site', 1],
    [
      'over another scope',
      { act: { subject_digest: { scope: '0'.repeat(64) } } },
      'approval.wrong_digest',
      1,
    ],
    ['over no scope', { act: { subject_digest: {} } }, 'approval.wrong_digest', 1],
    ['with another answer', { act: { answer: 'end' } }, 'approval.malformed', 1],
    ['under an id that is none', { act: { subject: 'bg_1' } }, 'approval.wrong_subject', 1],
    [
      'for a class that policy does not cover',
      { place: { class: 'read_telemetry', target: { type: 'sensor', id: 's' } } },
      'breakglass.not_covered',
      1,
    ],
    [
      'for a target that policy does not cover',
      { place: { class: 'install_firmware', target: { type: 'device', id: 'pump-11' } } },
      'breakglass.not_covered',
      1,
    ],
    [
      'for a target of another type',
      { place: { target: { type: 'disk', id: 'relay-2' } } },
      'breakglass.not_covered',
      1,
    ],
    ['for an environment that policy does not cover', { place: staging }, 'breakglass.not_covered', 1],
    ['for an environment that nobody knows', { place: { environment: 'moon' } }, 'policy.none', 0],
    ['for an actor that nobody knows', { place: { actor: 'agent:x' } }, 'breakglass.not_covered', 1],
    ['for too long', { place: { ttl_seconds: 3_601 } }, 'breakglass.ttl_too_long', 1],
    ['without a field of the reason', { reason: {} }, 'breakglass.reason', 1],
    ['with a field that does not match', { reason: { hazard: '!!!' } }, 'breakglass.reason', 1],
    ['with a field too many', { reason: { ...REASON, mood: 'bad' } }, 'breakglass.reason', 1],
    ['with a field too long', { reason: { ...REASON, reference: 'x'.repeat(21) } }, 'breakglass.reason', 1],
    [
      'with a secret in a field',
      { reason: { ...REASON, reference: 'AKIAIOSFODNN7EXAMPLE' } },
      'breakglass.reason',
      1,
    ],
    ['by an act that is over', { act: { issued_at: '2031-03-01T10:00:00.000Z' } }, 'approval.expired', 1],
    [
      'by an act that is yet to come',
      { act: { issued_at: '2031-03-01T14:00:00.000Z' } },
      'approval.not_yet_valid',
      1,
    ],
  ])('%s', (_what, changes, code, recorded) => {
    const fixture = site();
    const before = entries(fixture).length;
    const { status, body } = fixture.activate(changes);
    expect(body.code).toBe(code);
    expect(status).toBeGreaterThanOrEqual(400);
    const added = entries(fixture).slice(before);
    expect(added.map(({ type }) => type)).toEqual(Array(recorded).fill('breakglass.refused'));
    if (recorded === 1) expect(added[0]?.data).toMatchObject({ code });
    expect(restart(fixture).permit).toBeUndefined();
  });

  test('by an act of another kind, or a signature in another namespace', () => {
    const fixture = site();
    const { scope, act } = fixture.activation() as { scope: string; act: string };
    const { kind: _, ...same } = JSON.parse(act) as { kind: string };
    const other = fixture.sign(lena, {}, same, 'approval');
    const json = { scope, act, signature: other.signature };
    expect(fixture.call('breakglass.activate', { json }).body.code).toBe('approval.bad_signature');
    expect(fixture.call('breakglass.activate', { json: { scope, ...other } }).body.code).toBe(
      'approval.wrong_kind',
    );
  });

  test('with a scope that was changed by one character on its way', () => {
    const fixture = site();
    const activation = fixture.activation() as { scope: string; act: string; signature: string };
    const json = { ...activation, scope: activation.scope.replace('relay-2', 'relay-3') };
    expect(fixture.call('breakglass.activate', { json }).body.code).toBe('approval.wrong_digest');
    const loose = { ...activation, scope: ` ${activation.scope}` };
    expect(fixture.call('breakglass.activate', { json: loose }).body.code).toBe('breakglass.malformed');
  });

  test('twice by one act, nor under one id', () => {
    const fixture = site();
    const activation = fixture.activation();
    const session = fixture.call('breakglass.activate', { json: activation }).body;
    const again = fixture.call('breakglass.activate', { json: activation });
    expect(again).toMatchObject({ status: 409, body: { code: 'approval.nonce_used' } });
    fixture.about(session, 'end');
    const same = fixture.activate({ act: { subject: String(session.id) } });
    expect(same.body.code).toBe('breakglass.exists');
    const late = fixture.call('breakglass.activate', { json: activation });
    expect(late.body.code).toBe('approval.nonce_used');
  });

  test('beside as many as policy allows', () => {
    const fixture = site({ max_open: 2 });
    fixture.opened();
    fixture.opened({ place: { target: { type: 'service', id: 'relay-3' } } });
    expect(fixture.activate()).toMatchObject({ status: 409, body: { code: 'breakglass.too_many' } });
  });

  test('while the clock is doubted', () => {
    const fixture = site();
    fixture.clock.wall += 24 * 60 * MINUTE;
    expect(fixture.activate().body.code).toBe('approval.time_uncertain');
  });

  test('without a policy, or one without break-glass', () => {
    const none = new GlassSite(null);
    open.push(none);
    expect(none.activate().body.code).toBe('policy.none');
    const bundle = glassBundle();
    delete bundle.breakglass;
    const without = new GlassSite(bundle);
    open.push(without);
    expect(without.activate().body.code).toBe('breakglass.not_in_policy');
  });

  test('and refused attempts do not fill the ledger', () => {
    const fixture = site();
    for (let n = 0; n < 30; n++) fixture.activate({ who: lena, act: { role: 'l3' } });
    expect(types(fixture).filter((type) => type === 'breakglass.refused')).toHaveLength(20);
  });
});

describe('break-glass meets', () => {
  test('a halt: what is asked under it goes on, before and after, and nothing else', () => {
    const bundle = glassBundle({}, { incidents: { reporter_roles: ['l3'] } });
    const fixture = new GlassSite(bundle);
    open.push(fixture);
    fixture.opened();
    const before = restart(fixture);
    const report = {
      actor: { id: 'alice' },
      target: { type: 'service', id: 'relay-2' },
      detail: 'it was restarted by hand',
    };
    expect(fixture.call('incidents.open', { json: report }).status).toBe(200);
    expect(fixture.redeem(before).status).toBe(200);
    const after = restart(fixture);
    expect(after).toMatchObject({ status: 'authorized' });
    const gates = (after.policy as { gates: JsonObject[] }).gates;
    expect(gates.filter((gate) => gate.result === 'lifted').map(({ id }) => id)).toContain('incident.halt');
    expect(fixture.redeem(after).status).toBe(200);
    const context = { environment: 'staging' };
    expect(restart(fixture, 'service:relay-2', { context })).toMatchObject({ status: 'denied' });
  });

  test('its end in the same batch as a redemption: whichever comes first counts', () => {
    const fixture = site();
    const session = fixture.opened();
    const { permit } = restart(fixture) as { permit: { id: string; action_digest: string } };
    const redeem = {
      ...internal(
        'permits.redeem',
        JSON.stringify({ audience: 'gateway', action_digest: permit.action_digest }),
      ),
      args: { id: permit.id },
    };
    const act = fixture.sign(lena, {}, endOf(session), 'breakglass');
    const end = { ...internal('breakglass.end', JSON.stringify(act)), args: { id: String(session.id) } };
    const statuses = fixture.engine.process([end, redeem]).replies.map(({ status }) => status);
    expect(statuses).toEqual([200, 409]);
  });

  test('a request in the same batch that opens it: in order', () => {
    const fixture = site();
    const json = ask('restart_service', 'service:relay-2');
    const create = internal('decisions.create', JSON.stringify(json));
    const activate = internal('breakglass.activate', JSON.stringify(fixture.activation()));
    const { replies } = fixture.engine.process([create, activate, create]);
    const bodies = replies.map((reply) => JSON.parse(textOf(completeReply(reply))) as JsonObject);
    expect(bodies.map(({ status, state }) => status ?? state)).toEqual(['denied', 'active', 'authorized']);
  });

  test('a ledger that cannot be written: no session, and no permit', () => {
    const fixture = site();
    const disk = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
    disk.exec("CREATE TRIGGER full BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'full'); END");
    expect(fixture.activate()).toMatchObject({ status: 503, body: { code: 'ledger.unavailable' } });
    expect(restart(fixture)).toMatchObject({ code: 'ledger.unavailable' });
    disk.exec('DROP TRIGGER full');
    disk.close();
    fixture.clock.pass(5_000);
    expect(restart(fixture)).toMatchObject({ status: 'denied' });
    expect(fixture.call('breakglass.list').body).toMatchObject({ sessions: [] });
  });

  test('a review: every decision under it is named', () => {
    const fixture = site();
    const session = fixture.opened();
    const asked = [restart(fixture), restart(fixture, 'service:relay-2', { payload: { colour: 'red' } })];
    restart(fixture, 'service:relay-3');
    fixture.about(session, 'end');
    restart(fixture);
    expect(fixture.session(session).decisions).toEqual(asked.map(({ decision_id }) => decision_id));
  });
});

const endOf = (session: JsonObject) => ({
  subject: String(session.id),
  subject_digest: { scope: String(session.scope_digest) },
  answer: 'end',
  role: 'l5',
});
