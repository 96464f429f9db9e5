import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { Peer } from '../../daemon/engine/protocol.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { parseAct } from '../../daemon/formats/signed-act.ts';
import { signSshsig } from '../../daemon/formats/sshsig.ts';
import { GlassSite, glassBundle, PLACE } from '../engine/breakglass-world.ts';
import { alice, ask, bob, carol } from '../engine/bundle.ts';
import { type Person, person, SITE } from '../engine/fixture.ts';
import { checkLedger } from '../oracle.ts';

/*
 * The table of attacks on authority: one row each, at the engine. What needs real processes and sockets stands in
 * `races.test.ts` beside this file and in `test/identity/attacks.test.ts`. After each row the whole ledger is checked.
 */

const mallory = person('mallory');
/** Olga owns the agent that asks; Bob's second key; Erin may approve for another device only. */
const olga = person('olga');
const alicesOther = person('alice-two');
const erin = person('erin');

function bundle(changes: Partial<Bundle> = {}): Bundle {
  const made = glassBundle({}, changes);
  const human = (who: Person, more: object = {}) => ({
    kind: 'human' as const,
    roles: ['l3'],
    status: 'active' as const,
    keys: [{ public_key: who.line }],
    ...more,
  });
  Object.assign(made.principals, {
    olga: human(olga),
    alice: { ...human(alice), keys: [{ public_key: alice.line }, { public_key: alicesOther.line }] },
    erin: human(erin, { scope: { targets: ['service:relay-9'] } }),
    frank: human(person('frank'), { status: 'revoked' }),
  });
  return made;
}

let site: GlassSite;
let waiting: JsonObject;

beforeEach(() => {
  site = new GlassSite(bundle());
  waiting = create('install_firmware', 'device:valve-7');
  expect(waiting.status).toBe('pending_authority');
});
afterEach(() => {
  checkLedger(site.paths, { origin: `${SITE}/ledger`, vkeys: [site.vkey] });
  site.close();
});

function create(actionClass: string, target: string, actor = 'agent:ops-1', peer?: Peer): JsonObject {
  const role = actor.startsWith('agent:') ? 'agent' : 'l3';
  const json = ask(actionClass, target, { context: { actor: { id: actor, role } } });
  return site.call('decisions.create', peer === undefined ? { json } : { json, peer }).body;
}

const submit = (json: JsonObject, about: JsonObject = waiting) =>
  site.call('decisions.approve', { args: { id: String(about.decision_id) }, json });
const approve = (who: Person, changes: Partial<SignedAct> = {}, about = waiting) =>
  submit(site.sign(who, about, changes), about);
const show = ({ decision_id }: JsonObject): JsonObject =>
  site.call('decisions.get', { args: { id: String(decision_id) } }).body;
const size = (): number => (site.call('status.get').body.ledger as { size: number }).size;

function newest(about = waiting): { type: string; data: JsonObject } {
  const { body } = site.call('decisions.entries', { args: { id: String(about.decision_id) } });
  const { entry } = (body.entries as { entry: { type: string; data: JsonObject } }[]).at(-1) ?? {};
  if (entry === undefined) throw new Error('no entry');
  return entry;
}

/** An act under somebody's signature in a namespace or over a text of the attacker's choice. */
function signedAs(who: Person, act: string, namespace: string, message = act): JsonObject {
  const publicKey = publicKeyOf(who.seed);
  return {
    act,
    signature: signSshsig({ seed: who.seed, publicKey, namespace, message: Buffer.from(message) }),
  };
}

type Attack = () => { status: number; body: JsonObject };

describe('not authentic: refused, and no entry, since it is nobody’s word', () => {
  const rows: [string, string, Attack][] = [
    [
      'a forged signature: another key under the name of the first',
      'approval.bad_signature',
      () => {
        const { act } = site.sign(alice, waiting);
        const { signature } = signedAs(mallory, `${act} `, 'approval@holdfast');
        return submit({ act, signature: String(signature) });
      },
    ],
    [
      'the right key in the wrong namespace',
      'approval.bad_signature',
      () => submit(signedAs(alice, site.sign(alice, waiting).act, 'file')),
    ],
    [
      'an act of another kind, rightly signed for that kind',
      'approval.wrong_kind',
      () => submit(site.sign(alice, waiting, { answer: 'reviewed' }, 'review')),
    ],
    [
      'one character changed after signing',
      'approval.bad_signature',
      () => {
        const { act, signature } = site.sign(alice, waiting);
        return submit({ act: act.replace('looked at it', 'looked at It'), signature });
      },
    ],
  ];
  test.each(rows)('%s', (_, code, attack) => {
    const before = size();
    expect(attack().body.code).toBe(code);
    expect(size()).toBe(before);
    expect(show(waiting).status).toBe('pending_authority');
  });
});

describe('authentic and wrong: refused with its code, and on record', () => {
  const rows: [string, string, Attack][] = [
    [
      'signed for another decision',
      'approval.wrong_subject',
      () => submit(site.sign(alice, create('install_firmware', 'device:valve-7'))),
    ],
    [
      'signed over another action',
      'approval.wrong_digest',
      () =>
        approve(alice, {
          subject_digest: { action: '0'.repeat(64), policy: String(waiting.policy_digest) },
        }),
    ],
    [
      'signed over another policy',
      'approval.wrong_digest',
      () =>
        approve(alice, {
          subject_digest: { action: String(waiting.action_digest), policy: '0'.repeat(64) },
        }),
    ],
    ['signed for another site', 'approval.wrong_site', () => approve(alice, { site: 'other.example' })],
    [
      'in a role that is not held',
      'approval.role_not_held',
      () => approve(alice, { role: 'safety_officer' }),
    ],
    [
      'in a role that the decision does not wait for',
      'approval.role_not_required',
      () => approve(person('lena'), { role: 'l5' }),
    ],
    [
      'that is over',
      'approval.expired',
      () => approve(alice, { issued_at: '2031-03-01T11:00:00.000Z', ttl_seconds: 60 }),
    ],
    [
      'that is from the future',
      'approval.not_yet_valid',
      () => approve(alice, { issued_at: '2031-03-01T13:00:00.000Z' }),
    ],
    ['by the owner of the agent that asked', 'approval.self', () => approve(olga)],
    ['by a role outside its scope', 'approval.out_of_scope', () => approve(erin)],
    ['by a key of nobody', 'approval.unknown_key', () => approve(mallory)],
    ['by a revoked person', 'approval.revoked_key', () => approve(person('frank'))],
    [
      'twice by one person, with another key and another nonce',
      'approval.duplicate_person',
      () => {
        expect(approve(alice).status).toBe(202);
        return approve(alicesOther);
      },
    ],
    ['with an answer that is none', 'approval.malformed', () => approve(alice, { answer: 'approve_all' })],
  ];
  test.each(rows)('%s', (_, code, attack) => {
    const { status, body } = attack();
    expect(body.code).toBe(code);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(newest()).toMatchObject({ type: 'approval.rejected', data: { code } });
    expect(show(waiting).status).toBe('pending_authority');
  });

  test('by the one who asked, with the first key and with the second', () => {
    const own = create('install_firmware', 'device:valve-7', 'alice');
    for (const key of [alice, alicesOther]) {
      expect(approve(key, {}, own).body.code).toBe('approval.self');
      expect(newest(own)).toMatchObject({ type: 'approval.rejected', data: { code: 'approval.self' } });
    }
  });
});

describe('replayed', () => {
  test('the same act again does not count again', () => {
    const act = site.sign(alice, waiting);
    expect(submit(act).status).toBe(202);
    expect(submit(act).body.code).toBe('approval.nonce_used');
    expect(show(waiting).status).toBe('pending_authority');
  });

  test('nor with its nonce in a new act, nor after a crash, nor for another decision', () => {
    const act = site.sign(alice, waiting);
    expect(submit(act).status).toBe(202);
    const { nonce } = parseAct(act.act);
    site.reopen();
    expect(approve(carol, { nonce }).body.code).toBe('approval.nonce_used');
    const other = create('install_firmware', 'device:valve-7');
    expect(approve(carol, { nonce }, other).body.code).toBe('approval.nonce_used');
  });
});

describe('changed in between', () => {
  test('approve, then change the payload: the permit binds what was approved', () => {
    expect(approve(alice).status).toBe(202);
    const done = approve(bob, { role: 'safety_officer' }).body;
    const { id } = done.permit as { id: string };
    const json = { audience: 'gateway', action_digest: '1'.repeat(64) };
    expect(site.call('permits.redeem', { args: { id }, json }).body.code).toBe('permit.wrong_digest');
    expect(show(waiting).permit_state).toBe('issued');
  });

  test('a key that is revoked after it approved: its approval counts for nothing any more', () => {
    expect(approve(alice).status).toBe(202);
    const next = bundle();
    next.metadata.version += 1;
    Object.assign(next.principals.alice ?? {}, { status: 'revoked' });
    expect(site.apply(next, 2).status).toBe(200);
    expect(approve(bob, { role: 'safety_officer' }).status).toBe(202);
    expect(show(waiting).status).toBe('pending_authority');
  });

  test('a clock set back does not revive an approval that was over', () => {
    const act = site.sign(alice, waiting, { ttl_seconds: 60 });
    site.clock.pass(10 * 60_000);
    expect(submit(act).body.code).toBe('approval.expired');
    site.clock.wall -= 10 * 60_000;
    expect(submit(act).body.code).toBe('approval.time_uncertain');
    site.engine.tick();
    expect(submit(act).body.code).toBe('approval.time_uncertain');
    expect(show(waiting).status).toBe('pending_authority');
  });
});

describe('around the rules', () => {
  test('an agent that asserts an operator is denied, on record', () => {
    const known = bundle();
    Object.assign(known.principals['agent:ops-1'] ?? {}, { uid: 2_001 });
    Object.assign(known.principals.alice ?? {}, { uid: 2_002 });
    known.metadata.version += 1;
    expect(site.apply(known, 2).status).toBe(200);
    const asked = create('read_telemetry', 'sensor:one', 'alice', { socket: 'request', uid: 2_001 });
    expect(asked.status).toBe('denied');
    expect(JSON.stringify(asked.policy)).toContain('identity.assertion');
  });

  test.each([
    ['class', 'restart_services', 'service:relay-2'],
    ['target', 'restart_service', 'service:relay-3'],
    ['target by one character more', 'restart_service', 'service:relay-2a'],
    ['target by one character less', 'restart_service', 'service:relay-'],
  ])('break-glass reaches nothing outside its scope: another %s', (_, actionClass, target) => {
    site.opened();
    expect(create(PLACE.class, 'service:relay-2').status).toBe('authorized');
    expect(create(actionClass, target)).toMatchObject({ status: 'denied' });
  });

  test('break-glass by a key that is suspended afterwards is over', () => {
    const sections = bundle({ suspension: { roles: ['safety_officer'] } });
    sections.metadata.version += 1;
    expect(site.apply(sections, 2).status).toBe(200);
    site.opened();
    const allowed = create(PLACE.class, 'service:relay-2');
    expect(allowed.status).toBe('authorized');
    const act = site.sign(
      bob,
      {},
      { subject: 'lena', subject_digest: {}, answer: 'suspend', role: 'safety_officer' },
      'suspend',
    );
    expect(site.call('keys.suspend', { json: act }).status).toBe(200);
    expect(create(PLACE.class, 'service:relay-2').status).toBe('denied');
    expect(site.redeem(allowed).status).not.toBe(200);
  });
});
