import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { checkLedger } from '../oracle.ts';
import { EcdsaSecurityKey, Ed25519SecurityKey, type Use } from '../security-key.ts';
import { alice, ask, carol, testBundle } from './bundle.ts';
import { EngineFixture, SITE } from './fixture.ts';

const open: EngineFixture[] = [];
afterEach(() => {
  for (const fixture of open.splice(0)) {
    checkLedger(fixture.paths, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] });
    fixture.close();
  }
});

/** The fixture's policy, with Alice's plain key replaced by a security key. */
function policy(line: string, changes: Partial<Bundle> = {}, key: { require_pin?: boolean } = {}): Bundle {
  const bundle = testBundle(changes);
  Object.assign(bundle.principals.alice ?? {}, { keys: [{ public_key: line, ...key }] });
  return bundle;
}

function site(bundle: Bundle): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

const restart = (fixture: EngineFixture): JsonObject =>
  fixture.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
const submit = (fixture: EngineFixture, decision: JsonObject, json: JsonObject) =>
  fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
const entries = (fixture: EngineFixture, decision: JsonObject): JsonObject[] => {
  const reply = fixture.call('decisions.entries', { args: { id: String(decision.decision_id) } }).body;
  return (reply.entries as unknown as { entry: JsonObject }[]).map(({ entry }) => entry);
};

type Token = Ed25519SecurityKey | EcdsaSecurityKey;

function signed(fixture: EngineFixture, token: Token, decision: JsonObject, use: Use = {}): JsonObject {
  const { act } = fixture.sign(alice, decision);
  return { act, signature: token.sign(act, 'approval@holdfast', use) };
}

const approve = (fixture: EngineFixture, token: Token, use: Use = {}) => {
  const decision = restart(fixture);
  return { decision, ...submit(fixture, decision, signed(fixture, token, decision, use)) };
};

describe.each([
  ['sk-ssh-ed25519', () => new Ed25519SecurityKey()],
  ['sk-ecdsa-sha2-nistp256', () => new EcdsaSecurityKey()],
])('a security key (%s)', (_type, make) => {
  test('that was touched counts, and what it said is on record', () => {
    const token = make();
    const fixture = site(policy(token.line));
    const { status, body, decision } = approve(fixture, token, { pin: false });
    expect({ status, is: body.status }).toEqual({ status: 200, is: 'authorized' });
    expect(entries(fixture, decision).at(-1)).toMatchObject({
      type: 'approval.added',
      data: {
        key: token.fingerprint,
        security_key: { user_present: true, user_verified: false, counter: 1 },
      },
    });
  });

  test('that nobody touched does not count', () => {
    const token = make();
    const fixture = site(policy(token.line));
    const { status, body, decision } = approve(fixture, token, { touched: false });
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'approval.user_not_present' });
    expect(entries(fixture, decision).at(-1)).toMatchObject({
      type: 'approval.rejected',
      data: { code: 'approval.user_not_present', principal: 'alice', security_key: { user_present: false } },
    });
  });
});

test('a security key that signs through a web page counts as well', () => {
  const token = new EcdsaSecurityKey();
  const fixture = site(policy(token.line));
  const decision = restart(fixture);
  const { act } = fixture.sign(alice, decision);
  const page = { act, signature: token.signOnPage(act, 'approval@holdfast', { counter: 9 }) };
  expect(submit(fixture, decision, page).body.status).toBe('authorized');
  const other = restart(fixture);
  const moved = { act: fixture.sign(alice, other).act, signature: page.signature };
  expect(submit(fixture, other, moved).body.code).toBe('approval.bad_signature');
});

describe('a PIN', () => {
  const demanded = { approvals: { require_pin_for: ['l3'] } };

  test('is demanded for a role: a key in a file, or one without it, does not count', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line, demanded));
    expect(approve(fixture, token, { pin: false }).body.code).toBe('approval.user_not_verified');
    const decision = restart(fixture);
    const plain = submit(fixture, decision, fixture.sign(carol, decision));
    expect(plain.body).toMatchObject({ code: 'approval.security_key_required', status: 422 });
    expect(approve(fixture, token, { pin: true }).body.status).toBe('authorized');
  });

  test('is demanded of a key, whatever the role', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line, {}, { require_pin: true }));
    expect(approve(fixture, token, { pin: false }).body.code).toBe('approval.user_not_verified');
    expect(approve(fixture, token).body.status).toBe('authorized');
  });

  test('that policy demands later is not demanded of decisions that are pinned to the policy before', () => {
    const token = new Ed25519SecurityKey();
    const before = policy(token.line);
    const fixture = site(before);
    const decision = restart(fixture);
    const after = policy(token.line, demanded);
    after.metadata.version = 2;
    fixture.apply(after, 2);
    expect(approve(fixture, token, { pin: false }).body.code).toBe('approval.user_not_verified');
    expect(submit(fixture, decision, signed(fixture, token, decision, { pin: false })).body.status).toBe(
      'authorized',
    );
  });
});

describe('the counter of a security key', () => {
  test('never goes back: a clone is noticed, also after a crash', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line));
    expect(approve(fixture, token, { counter: 41 }).body.status).toBe('authorized');
    fixture.reopen();
    for (const counter of [0, 40, 41]) {
      const { status, body, decision } = approve(fixture, token, { counter });
      expect({ status, code: body.code }).toEqual({ status: 409, code: 'approval.counter_not_newer' });
      expect(entries(fixture, decision).at(-1)).toMatchObject({
        type: 'approval.rejected',
        data: { code: 'approval.counter_not_newer', security_key: { counter } },
      });
    }
    expect(approve(fixture, token, { counter: 42 }).body.status).toBe('authorized');
  });

  test('counts over all decisions at once, in one batch too', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line));
    const decisions = [restart(fixture), restart(fixture)];
    const calls = decisions.map((decision) => ({
      method: 'decisions.approve' as const,
      args: { id: String(decision.decision_id) },
      body: JSON.stringify(signed(fixture, token, decision, { counter: 7 })),
      key: null,
      peer: { socket: 'internal' as const, uid: null },
    }));
    const codes = fixture.engine.process(calls as never).replies.map(({ status }) => status);
    expect(codes).toEqual([200, 409]);
  });

  test('is not moved by an act that did not count', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line));
    const decision = restart(fixture);
    const { act } = fixture.sign(alice, decision, { role: 'safety_officer' });
    const refused = { act, signature: token.sign(act, 'approval@holdfast', { counter: 1_000 }) };
    expect(submit(fixture, decision, refused).body.code).toBe('approval.role_not_held');
    expect(submit(fixture, decision, signed(fixture, token, decision, { counter: 3 })).body.status).toBe(
      'authorized',
    );
  });

  test('of a key that does not count may stay 0; one that has counted may not', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line));
    for (let n = 0; n < 3; n += 1)
      expect(approve(fixture, token, { counter: 0 }).body.status).toBe('authorized');
    expect(approve(fixture, token, { counter: 1 }).body.status).toBe('authorized');
    expect(approve(fixture, token, { counter: 0 }).body.code).toBe('approval.counter_not_newer');
  });

  test('is checked and rebuilt from the entries', () => {
    const token = new Ed25519SecurityKey();
    const fixture = site(policy(token.line));
    for (const counter of [5, 9]) approve(fixture, token, { counter });
    fixture.engine.close();
    const found = (sql: string): string[] => {
      const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
      try {
        database.exec(sql);
        return checkProjections(database).map(({ where }) => where);
      } finally {
        database.close();
      }
    };
    expect(found('SELECT 1')).toEqual([]);
    expect(found('UPDATE key_counters SET counter = 4')).toEqual([`key_counters[${token.fingerprint}]`]);
    expect(found('DELETE FROM key_counters')).toEqual([`key_counters[${token.fingerprint}]`, 'key_counters']);
    rebuildProjections(fixture.paths.ledger);
    expect(found('SELECT 1')).toEqual([]);
    expect(found(`INSERT INTO key_counters VALUES ('SHA256:nobody', 1)`)).toEqual(['key_counters']);
    rebuildProjections(fixture.paths.ledger);
    fixture.engine = fixture.open();
    expect(approve(fixture, token, { counter: 9 }).body.code).toBe('approval.counter_not_newer');
  });
});
