import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { envelopeDigests } from '../../daemon/core/envelope-act.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { openCommitment } from '../../daemon/formats/commitment.ts';
import { type Disclosure, formatDisclosure, verifyDisclosure } from '../../daemon/formats/disclosure.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { alice, ask, bob, testBundle } from './bundle.ts';
import { EngineFixture, type Person } from './fixture.ts';

const PIN = '7391';
const SECRET = 'correct horse battery';
let site: EngineFixture;

function bundle(changes: Partial<Bundle> = {}): Bundle {
  const base = testBundle();
  return {
    ...base,
    actions: {
      ...base.actions,
      join_network: {
        description: 'Join a network.',
        target: { type: 'interface', id_pattern: '[a-z0-9]{1,15}' },
        payload: {
          psk: { type: 'string', required: true, sensitive: true },
          pin: { type: 'string', required: true, sensitive: true },
        },
        base_risk: 0.1,
        tool: 'join',
      },
    },
    tools: { ...base.tools, join: { connector: 'exec', argv: ['/bin/cat'], stdin: ['psk', 'pin'] } },
    privacy: { shred_roles: ['safety_officer'], withhold_roles: ['l3'] },
    reading: { raw: ['l3'] },
    ...changes,
  };
}

beforeEach(() => {
  site = new EngineFixture(bundle());
});
afterEach(() => site.close());

function create(): JsonObject {
  const payload = { psk: SECRET, pin: PIN };
  const { status, body } = site.call('decisions.create', {
    json: ask('join_network', 'interface:wlan0', { payload }),
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

const idOf = ({ decision_id }: JsonObject) => ({ id: String(decision_id) });

function redeem(decision: JsonObject) {
  const { id, action_digest } = decision.permit as { id: string; action_digest: string };
  return site.call('permits.redeem', { args: { id }, json: { audience: 'gateway', action_digest } });
}

function executed(): JsonObject {
  const decision = create();
  expect(redeem(decision).status).toBe(200);
  const { id } = decision.permit as { id: string };
  site.call('permits.outcome', { args: { id }, json: { audience: 'gateway', result: 'succeeded' } });
  return decision;
}

function change(
  who: Person,
  decision: JsonObject,
  answer: string,
  fields: string[] | null,
  changes: Partial<SignedAct> = {},
) {
  const subject_digest = envelopeDigests({ action_digest: String(decision.action_digest) }, fields);
  const role = answer === 'shred' ? 'safety_officer' : 'l3';
  const act = site.sign(who, decision, { subject_digest, answer, role, ...changes }, 'shred');
  return site.call('envelopes.change', { args: idOf(decision), json: { ...act, fields } });
}

function disclose(decision: JsonObject, fields: string[]) {
  return site.call('envelopes.disclose', {
    args: idOf(decision),
    json: { fields, reason: 'dispute', actor: { id: 'alice' } },
  });
}

const view = (decision: JsonObject) =>
  Object.fromEntries(
    (
      site.call('envelopes.get', { args: idOf(decision) }).body.fields as { field: string; state: string }[]
    ).map(({ field, state }) => [field, state]),
  );

/** Works on the file as somebody with root would; the daemon is down meanwhile. */
function onFile(work: (database: ReturnType<typeof openDatabase>) => void): void {
  site.engine.close();
  const database = openDatabase(site.paths.ledger, { kind: LEDGER_KIND });
  work(database);
  database.close();
  site.engine = site.open();
}

function findings() {
  const database = openDatabase(site.paths.ledger, { kind: LEDGER_KIND, readonly: true });
  try {
    return checkProjections(database);
  } finally {
    database.close();
  }
}

/** Every byte of the site directory, keys included. */
function everyByte(): Buffer {
  const files = readdirSync(site.paths.root, { recursive: true, withFileTypes: true }).filter((file) =>
    file.isFile(),
  );
  return Buffer.concat(files.map((file) => readFileSync(join(file.parentPath, file.name))));
}

function tickUntilIdle(): void {
  for (let turn = 0; turn < 10; turn++) site.engine.tick();
}

describe('disclosure', () => {
  test('gives salt and value of the field that was asked for, and is on record', () => {
    const decision = executed();
    const { status, body } = disclose(decision, ['pin']);
    expect(status, JSON.stringify(body)).toBe(200);
    const { pin, ...others } = body.values as Record<string, { salt: string; value: string }>;
    expect(others).toEqual({});
    expect(pin?.value).toBe(PIN);
    const { payload } = decision.action as { payload: { pin: { $commitment: string } } };
    expect(openCommitment(payload.pin, Buffer.from(pin?.salt ?? '', 'base64'), PIN)).toBe(true);
    expect(openCommitment(payload.pin, Buffer.from(pin?.salt ?? '', 'base64'), '7392')).toBe(false);
    expect((body.read as JsonObject).right).toBe('raw');
  });

  test('needs the right to read raw values', () => {
    const decision = executed();
    const json = { fields: ['pin'], reason: 'curious', actor: { id: 'bob' } };
    const { status, body } = site.call('envelopes.disclose', { args: idOf(decision), json });
    expect([status, body.code]).toEqual([403, 'reading.not_permitted']);
    expect(JSON.stringify(body)).not.toContain(PIN);
  });

  test('is a file that others check against the log, and that bears no change', () => {
    const decision = executed();
    const { values, proof } = disclose(decision, ['pin', 'psk']).body as unknown as Disclosure;
    const disclosure: Disclosure = { decision_id: idOf(decision).id, values, proof };
    const trust = { vkeys: [site.vkey] };
    const checked = (changed: Partial<Disclosure>) =>
      verifyDisclosure(formatDisclosure({ ...disclosure, ...changed }), trust);
    expect(checked({}).values).toEqual({ pin: PIN, psk: SECRET });
    const { pin = { salt: '', value: null }, psk = pin } = values;
    const other = disclose(executed(), ['pin']).body as unknown as Disclosure;
    const changes: [Partial<Disclosure>, RegExp][] = [
      [{ values: { pin: { ...pin, value: '7392' } } }, /not those that the record commits to/],
      [{ values: { pin: { ...pin, value: 7391 } } }, /not those that the record commits to/],
      [{ values: { pin: { ...pin, salt: psk.salt } } }, /not those that the record commits to/],
      [{ values: { pin: psk, psk: pin } }, /not those that the record commits to/],
      [{ values: { pin: { ...pin, salt: 'AAAA' } } }, /wrong length/],
      [{ values: { intent: pin } }, /no commitment for it/],
      [{ values: {} }, /1 to 64 values/],
      [{ values: other.values }, /not those that the record commits to/],
      [{ proof: other.proof }, /is of an entry that is not the decision/],
      [{ proof: proof.replace(/index (\d+)/, (_, index) => `index ${Number(index) - 1}`) }, /./],
    ];
    for (const [change, words] of changes) expect(() => checked(change)).toThrow(words);
    expect(() => verifyDisclosure(formatDisclosure(disclosure), { vkeys: [] })).toThrow();
    const extra = JSON.stringify({ ...JSON.parse(formatDisclosure(disclosure)), more: 1 });
    expect(() => verifyDisclosure(extra, trust)).toThrow(/exactly the members/);
  });

  test('of a field that is not sensitive is refused', () => {
    expect(disclose(executed(), ['psk2']).body.code).toBe('envelope.no_field');
  });
});

test('a denial keeps no value', () => {
  const payload = { psk: SECRET, pin: PIN, more: 'x' };
  const denied = site.call('decisions.create', {
    json: ask('join_network', 'interface:wlan0', { payload }),
  }).body;
  expect(denied.status).toBe('denied');
  expect(view(denied)).toEqual({ pin: 'unkept', psk: 'unkept' });
  expect(change(bob, denied, 'shred', null).body.code).toBe('envelope.wrong_state');
});

describe('withholding', () => {
  test('closes one field to readers and leaves it to the tool', () => {
    const decision = create();
    expect(change(alice, decision, 'withhold', ['pin']).status).toBe(200);
    expect(view(decision)).toEqual({ pin: 'withheld', psk: 'sealed' });
    expect(disclose(decision, ['pin']).body.code).toBe('envelope.wrong_state');
    expect(disclose(decision, ['psk']).status).toBe(200);
    expect(redeem(decision).body.sensitive).toMatchObject({ pin: { value: PIN }, psk: { value: SECRET } });
    site.reopen();
    expect(view(decision).pin).toBe('withheld');
    expect(change(alice, decision, 'withhold', ['pin']).body.code).toBe('envelope.wrong_state');
    expect(change(alice, decision, 'release', ['pin']).status).toBe(200);
    expect(disclose(decision, ['pin']).status).toBe(200);
    expect(findings()).toEqual([]);
  });
});

describe('shredding', () => {
  test('destroys all values and leaves proofs, decision and replay as they were', () => {
    const decision = executed();
    expect(change(bob, decision, 'shred', null).status).toBe(200);
    expect(view(decision)).toEqual({ pin: 'shredded', psk: 'shredded' });
    expect(disclose(decision, ['pin']).body.code).toBe('envelope.wrong_state');
    const replayed = site.call('decisions.replay', { args: idOf(decision) }).body;
    expect(replayed).toMatchObject({ differences: [], envelope: { shredded: ['pin', 'psk'], withheld: [] } });
    expect(findings()).toEqual([]);
    site.reopen();
    expect(view(decision).pin).toBe('shredded');
    expect(change(bob, decision, 'shred', null).body.code).toBe('envelope.wrong_state');
  });

  test('waits for whoever holds the decision', () => {
    const decision = executed();
    const hold = { decision: String(decision.decision_id), reason: 'asked for by a court' };
    expect(site.call('retention.hold', { json: hold }).status).toBe(200);
    expect(change(bob, decision, 'shred', null).body.code).toBe('retention.held');
    expect(view(decision)).toEqual({ pin: 'sealed', psk: 'sealed' });
    expect(site.call('retention.release', { json: hold }).status).toBe(200);
    expect(change(bob, decision, 'shred', null).status).toBe(200);
  });

  test('of one field seals the rest under another data key', () => {
    const decision = executed();
    const keyOf = () => {
      const database = openDatabase(site.paths.ledger, { kind: LEDGER_KIND, readonly: true });
      const key = database.prepareColumn<Uint8Array>('SELECT bytes FROM sealed_keys').get();
      database.close();
      return Buffer.from(key ?? []).toString('hex');
    };
    const before = keyOf();
    expect(change(bob, decision, 'shred', ['pin']).status).toBe(200);
    expect(keyOf()).not.toBe(before);
    expect(view(decision)).toEqual({ pin: 'shredded', psk: 'sealed' });
    expect(disclose(decision, ['psk']).body.values).toMatchObject({ psk: { value: SECRET } });
    expect(disclose(decision, ['pin']).body.code).toBe('envelope.wrong_state');
    expect(findings()).toEqual([]);
  });

  test('leaves no byte of the envelope in any file, once the log was emptied', () => {
    const decision = executed();
    const stored = () => {
      const database = openDatabase(site.paths.ledger, { kind: LEDGER_KIND, readonly: true });
      const rows = database
        .prepareColumn<Uint8Array>('SELECT bytes FROM sealed UNION ALL SELECT bytes FROM sealed_keys')
        .all();
      database.close();
      return rows;
    };
    const [value = new Uint8Array(), key = new Uint8Array()] = stored();
    const within = (bytes: Uint8Array) => everyByte().includes(Buffer.from(bytes));
    expect(value.length * key.length).toBeGreaterThan(0);
    expect(within(value)).toBe(true);
    expect(change(bob, decision, 'shred', null).status).toBe(200);
    tickUntilIdle();
    expect(within(value)).toBe(false);
    expect(within(key)).toBe(false);
  });

  test('waits while the action may still run', () => {
    const decision = create();
    expect(change(bob, decision, 'shred', null).body.code).toBe('envelope.in_use');
    expect(redeem(decision).body.sensitive).toMatchObject({ pin: { value: PIN } });
  });

  test.each([
    ['somebody without the role', alice, {}, 'approval.role_not_held'],
    ['a role that policy does not name', alice, { role: 'l3' }, 'approval.role_not_required'],
    [
      'a signature over other fields',
      bob,
      { subject_digest: envelopeDigests({ action_digest: '0'.repeat(64) }, null) },
      'approval.wrong_digest',
    ],
    [
      'another decision',
      bob,
      { subject: 'dec_018f0000-0000-7000-8000-000000000000' },
      'approval.wrong_subject',
    ],
  ])('by %s is refused', (_what, who, changes, code) => {
    const decision = executed();
    expect(change(who, decision, 'shred', null, changes).body.code).toBe(code);
    expect(view(decision).pin).toBe('sealed');
  });

  test('is nobody’s where the policy names nobody', () => {
    const { privacy: _, ...silent } = bundle();
    site.apply({ ...silent, metadata: { ...silent.metadata, version: 2 } }, 2);
    expect(change(bob, executed(), 'shred', null).body.code).toBe('approval.role_not_required');
  });
});

describe('somebody with the files', () => {
  test('swaps two envelopes: neither opens, nothing runs', () => {
    const [one, two] = [create(), create()];
    onFile((database) => {
      const id = (decision: JsonObject) => idOf(decision).id;
      const swap = (table: string) => {
        const rename = database.prepare(`UPDATE ${table} SET decision = ? WHERE decision = ?`);
        rename.run('x', id(one));
        rename.run(id(one), id(two));
        rename.run(id(two), 'x');
      };
      swap('sealed');
      swap('sealed_keys');
    });
    for (const decision of [one, two]) {
      expect(view(decision).pin).toBe('missing');
      const { status, body } = redeem(decision);
      expect([status, body.code]).toEqual([409, 'permit.values_gone']);
    }
  });

  test('puts a shredded envelope back: it stays shut, and the check tells', () => {
    const decision = executed();
    let rows: { value: Uint8Array; key: Uint8Array } | undefined;
    onFile((database) => {
      rows = database
        .prepare<{ value: Uint8Array; key: Uint8Array }>(
          'SELECT sealed.bytes AS value, sealed_keys.bytes AS key FROM sealed JOIN sealed_keys USING (decision)',
        )
        .get();
    });
    change(bob, decision, 'shred', null);
    onFile((database) => {
      const { id } = idOf(decision);
      database.prepare('INSERT INTO sealed VALUES (?, ?)').run(id, rows?.value ?? null);
      database.prepare('INSERT INTO sealed_keys VALUES (?, 0, ?)').run(id, rows?.key ?? null);
    });
    expect(view(decision).pin).toBe('shredded');
    expect(disclose(decision, ['pin']).body.code).toBe('envelope.wrong_state');
    expect(findings().map(({ detail }) => detail)).toEqual([
      'it was shredded and is there again (an old copy of the database?)',
    ]);
  });

  test('deletes an envelope: the permit is not spent for nothing', () => {
    const decision = create();
    onFile((database) => database.exec('DELETE FROM sealed_keys'));
    expect(redeem(decision).body.code).toBe('permit.values_gone');
    expect(findings().map(({ where }) => where)).toEqual([`sealed[${idOf(decision).id}]`]);
  });
});

describe('rotation of the envelope key', () => {
  const rotate = () => site.call('envelopes.rotate', { json: { reason: 'by the calendar' } });
  const keyFiles = () => readdirSync(site.paths.keys).sort();

  test('wraps every data key anew, destroys the old key, and says so', () => {
    const decisions = [executed(), create(), create()];
    expect(rotate().body).toMatchObject({ from: 0, to: 1 });
    expect(rotate().body.code).toBe('key.rotating');
    const during = create();
    tickUntilIdle();
    expect(keyFiles()).toEqual(['digest.key', 'envelope-1.key', 'ledger.key']);
    for (const decision of [...decisions, during]) {
      expect(disclose(decision, ['pin']).body.values).toMatchObject({ pin: { value: PIN } });
    }
    site.reopen();
    expect(disclose(during, ['psk']).body.values).toMatchObject({ psk: { value: SECRET } });
    expect(rotate().body).toMatchObject({ from: 1, to: 2 });
    tickUntilIdle();
    expect(keyFiles()).toEqual(['digest.key', 'envelope-2.key', 'ledger.key']);
    expect(disclose(during, ['psk']).status).toBe(200);
    expect(findings()).toEqual([]);
  });

  test('leaves the digests of idempotency keys as they were', () => {
    const json = ask('join_network', 'interface:wlan0', { payload: { psk: SECRET, pin: PIN } });
    const first = site.call('decisions.create', { json, key: 'k-1' }).body;
    rotate();
    tickUntilIdle();
    site.reopen();
    expect(site.call('decisions.create', { json, key: 'k-1' }).body.decision_id).toBe(first.decision_id);
  });

  test('goes on after a crash at any turn', () => {
    const decisions = Array.from({ length: 3 }, create);
    rotate();
    site.reopen();
    site.engine.tick();
    site.reopen();
    expect(disclose(decisions[0] ?? {}, ['pin']).status).toBe(200);
    tickUntilIdle();
    site.reopen();
    for (const decision of decisions) expect(disclose(decision, ['pin']).status).toBe(200);
    expect(existsSync(join(site.paths.keys, 'sealing.key'))).toBe(false);
  });

  /** Where the machine may die: before and after everything that the keys go through. */
  const POINTS = ['make', 'use', 'rewrap', 'retireBefore'] as const;
  test.each(POINTS.flatMap((point) => [[point, 'before'] as const, [point, 'after'] as const]))(
    'goes on after a crash at %s, %s it',
    (point, when) => {
      const decisions = Array.from({ length: 3 }, create);
      let armed = true;
      const dying = (): never => {
        armed = false;
        throw new Error('power lost');
      };
      site.wrapSealer = (sealer) =>
        new Proxy(sealer, {
          get(target, name) {
            const member: unknown = Reflect.get(target, name, target);
            if (typeof member !== 'function') return member;
            return (...values: unknown[]) => {
              if (armed && name === point && when === 'before') dying();
              const result: unknown = Reflect.apply(member, target, values);
              if (armed && name === point && when === 'after') dying();
              return result;
            };
          },
        });
      // `use` is asked for at every start too.
      armed = point !== 'use';
      site.reopen();
      armed = true;
      rotate();
      site.engine.tick();
      site.engine.tick();
      expect(armed).toBe(false);
      site.reopen();
      if (rotate().status === 200) site.engine.tick();
      tickUntilIdle();
      for (const decision of [...decisions, create()]) {
        expect(disclose(decision, ['pin']).body.values).toMatchObject({ pin: { value: PIN } });
      }
      const files = keyFiles();
      expect(files).toHaveLength(3);
      expect(files).toContain('digest.key');
      expect(existsSync(join(site.paths.keys, 'sealing.key'))).toBe(false);
      expect(findings()).toEqual([]);
    },
  );

  test('keeps the digests when the machine dies between the two files of epoch 0', () => {
    const json = ask('join_network', 'interface:wlan0', { payload: { psk: SECRET, pin: PIN } });
    const first = site.call('decisions.create', { json, key: 'k-1' }).body;
    const sealing = readFileSync(join(site.paths.keys, 'sealing.key'));
    rotate();
    tickUntilIdle();
    site.engine.close();
    // As if the second file had not been removed yet.
    writeFileSync(join(site.paths.keys, 'sealing.key'), sealing, { mode: 0o600 });
    site.engine = site.open();
    expect(site.call('decisions.create', { json, key: 'k-1' }).body.decision_id).toBe(first.decision_id);
    rotate();
    tickUntilIdle();
    expect(keyFiles()).toEqual(['digest.key', 'envelope-2.key', 'ledger.key']);
  });

  test('without its key file keeps the daemon from starting, and is well again with it', () => {
    rotate();
    tickUntilIdle();
    const decision = create();
    site.engine.close();
    const path = join(site.paths.keys, 'envelope-1.key');
    const key = readFileSync(path);
    rmSync(path);
    expect(() => site.open()).toThrow(/no envelope key/);
    writeFileSync(path, key, { mode: 0o600 });
    site.engine = site.open();
    expect(disclose(decision, ['pin']).status).toBe(200);
  });

  test('counts what nothing here can open, and still ends', () => {
    const decision = create();
    onFile((database) => database.exec("UPDATE sealed_keys SET bytes = x'00'"));
    rotate();
    tickUntilIdle();
    expect(view(decision).pin).toBe('missing');
    const entries = site.call('ledger.entries', { args: { from: '0', limit: '100' } }).body;
    expect(JSON.stringify(entries)).toContain('"lost":1');
  });
});
