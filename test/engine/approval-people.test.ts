import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle, BundlePrincipal } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { parsePublicKeyLine } from '../../daemon/formats/sshsig.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person, person } from './fixture.ts';

let site: EngineFixture;
afterEach(() => site.close());

const spare = person('spare');
const human = (roles: string[], keys: Person[], more: Partial<BundlePrincipal> = {}): BundlePrincipal => ({
  kind: 'human',
  roles,
  status: 'active',
  keys: keys.map(({ line }) => ({ public_key: line })),
  ...more,
});
/** The engine tests' policy with other people. */
function people(version: number, changes: Record<string, BundlePrincipal>, base = testBundle()): Bundle {
  return {
    ...base,
    metadata: { ...base.metadata, version },
    principals: { ...base.principals, ...changes },
  };
}
const create = (what = 'restart_service', target = 'service:relay', context = {}): JsonObject =>
  site.call('decisions.create', { json: ask(what, target, { context }) }).body;
const approve = (decision: JsonObject, who: Person, changes: Partial<SignedAct> = {}) =>
  site.call('decisions.approve', {
    args: { id: String(decision.decision_id) },
    json: site.sign(who, decision, changes),
  });
const redeem = ({ permit }: JsonObject, changes: JsonObject = {}) => {
  const { id, action_digest } = permit as { id: string; action_digest: string };
  return site.call('permits.redeem', {
    args: { id },
    json: { audience: 'gateway', action_digest, ...changes },
  });
};

test('one person with two keys is one person', () => {
  const routes = [
    { id: 'all', require: [{ group: 'peers', roles: ['l3'], min_signatures: 2 }] },
  ] as Bundle['authority']['routes'];
  site = new EngineFixture(
    people(1, { alice: human(['l3'], [alice, spare]) }, testBundle({ authority: { routes } })),
  );
  const decision = create();
  expect(approve(decision, alice).status).toBe(202);
  expect(approve(decision, spare).body.code).toBe('approval.duplicate_person');
  expect(approve(decision, alice).body.code).toBe('approval.duplicate_person');
  expect(approve(decision, carol).body).toMatchObject({
    status: 'authorized',
    authority: {
      received: [
        { principal: 'alice', key: parsePublicKeyLine(alice.line).fingerprint },
        { principal: 'carol', key: parsePublicKeyLine(carol.line).fingerprint },
      ],
    },
  });
});

test('who asked approves by none of their keys, nor says no to themselves', () => {
  site = new EngineFixture(people(1, { alice: human(['l3'], [alice, spare]) }));
  const decision = create('restart_service', 'service:relay', { actor: { id: 'alice', role: 'l3' } });
  for (const key of [alice, spare]) {
    expect(approve(decision, key).body.code).toBe('approval.self');
    expect(approve(decision, key, { answer: 'reject' }).body.code).toBe('approval.self');
  }
  expect(approve(decision, carol).body.status).toBe('authorized');
});

test.each<[string, BundlePrincipal['scope'], boolean]>([
  ['everything', {}, true],
  ['this class', { classes: ['restart_service'] }, true],
  ['another class', { classes: ['read_telemetry'] }, false],
  ['this environment', { environments: ['production'] }, true],
  ['another environment', { environments: ['staging'] }, false],
  ['this target', { targets: ['service:relay'] }, true],
  ['a target whose name begins alike', { targets: ['service:relay-2', 'service:rela'] }, false],
  [
    'class and target, but not the environment',
    { classes: ['restart_service'], environments: ['staging'] },
    false,
  ],
])('a role that reaches %s', (_what, scope, counts) => {
  site = new EngineFixture(people(1, { alice: human(['l3'], [alice], { scope: scope ?? {} }) }));
  const { status, body } = approve(create(), alice);
  if (counts) expect(status).toBe(200);
  else expect(body.code).toBe('approval.out_of_scope');
});

describe('a change of roles', () => {
  test('concerns decisions that are made from then on', () => {
    site = new EngineFixture(testBundle());
    const [before, used] = [create(), create()];
    const allowed = approve(used, alice).body;
    const changed = { alice: human(['safety_officer'], [alice]), bob: human(['l3'], [bob]) };
    expect(site.apply(people(2, changed), 2).status).toBe(200);
    // Pinned are the rules: alice still speaks as l3 about what was asked then, and bob does not.
    expect(approve(before, bob).body.code).toBe('approval.role_not_held');
    expect(approve(before, alice).body.status).toBe('authorized');
    expect(redeem(allowed).status).toBe(200);
    const after = create();
    expect(approve(after, alice).body.code).toBe('approval.role_not_held');
    expect(approve(after, bob).body.status).toBe('authorized');
  });

  test('lets nobody in who was not on the roster then', () => {
    site = new EngineFixture(testBundle());
    const before = create();
    site.apply(people(2, { dora: human(['l3'], [spare]) }), 2);
    expect(approve(before, spare).body.code).toBe('approval.unknown_key');
    expect(approve(create(), spare).body.status).toBe('authorized');
  });

  test('is none when it takes the key away: that acts at once', () => {
    site = new EngineFixture(testBundle());
    const [before, used] = [create(), create()];
    const allowed = approve(used, alice).body;
    site.apply(people(2, { alice: human(['l3'], [spare]) }), 2);
    expect(approve(before, alice).body.code).toBe('approval.revoked_key');
    expect(redeem(allowed).body.code).toBe('permit.revoked');
  });
});

test('at redemption the action, the audience and the time are looked at again', () => {
  site = new EngineFixture(testBundle());
  const allowed = approve(create(), alice).body;
  expect(redeem(allowed, { action_digest: 'a'.repeat(64) }).body.code).toBe('permit.wrong_digest');
  expect(redeem(allowed, { audience: 'other' }).body.code).toBe('permit.wrong_audience');
  expect((allowed.permit as JsonObject).policy_digest).toBe(allowed.policy_digest);
  site.clock.pass(5 * 60_000);
  expect(redeem(allowed).body.code).toBe('permit.expired');
});

test('a nonce is spent for ever, over a crash and for other people’s acts too', () => {
  site = new EngineFixture(testBundle());
  const [first, second] = [create(), create()];
  const nonce = 'A'.repeat(22);
  expect(approve(first, alice, { nonce }).status).toBe(200);
  site.reopen();
  site.clock.pass(60_000);
  expect(approve(second, carol, { nonce }).body.code).toBe('approval.nonce_used');
});
