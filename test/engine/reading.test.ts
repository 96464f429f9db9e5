import { afterEach, describe, expect, it } from 'vitest';
import type { Bundle, BundlePrincipal, BundleReading } from '../../daemon/core/bundle.ts';
import { MASK } from '../../daemon/core/masked.ts';
import type { EngineMethod, Peer } from '../../daemon/engine/protocol.ts';
import { entryHash } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { GlassSite, glassBundle, PLACE } from './breakglass-world.ts';
import { ask, testBundle } from './bundle.ts';

const RIGHTS: BundleReading = {
  raw: ['l3'],
  export: ['safety_officer'],
  breakglass: { roles: ['duty'] },
};
const user = (uid: number, socket: Peer['socket'] = 'operator'): Peer => ({ socket, uid });
const ALICE = user(1_001);
const BOB = user(1_002);
const DUTY = user(1_003);
const READER = user(1_004);

/** Alice approves and opens values, Bob exports, somebody is on duty, and a service only looks. */
function bundle(reading: BundleReading | null = RIGHTS, changes: Partial<Bundle> = {}): Bundle {
  const made = glassBundle({}, changes);
  const known = (id: string, more: Partial<BundlePrincipal>) =>
    ({ ...made.principals[id], status: 'active', ...more }) as BundlePrincipal;
  Object.assign(made.principals, {
    alice: known('alice', { uid: 1_001 }),
    bob: known('bob', { uid: 1_002 }),
    dora: known('dora', { kind: 'human', roles: ['duty'], uid: 1_003 }),
    'service:viewer': known('service:viewer', { kind: 'service', roles: ['viewer'], uid: 1_004 }),
  });
  return reading === null ? made : { ...made, reading };
}

let open: GlassSite | null = null;
afterEach(() => {
  open?.close();
  open = null;
});

function site(made: Bundle = bundle(), peers = { required: true, own_uid: 990 }): GlassSite {
  open?.close();
  open = new GlassSite(made, { peers });
  return open;
}

function decide(fixture: GlassSite, target = 'service:relay-2', environment = 'staging'): JsonObject {
  const context = { environment };
  const json = ask('restart_service', target, { payload: { grace_seconds: 7 }, context });
  return fixture.call('decisions.create', { json }).body;
}

function disclose(fixture: GlassSite, peer: Peer | null, more: JsonObject = {}) {
  const json = { right: 'raw', subject: { what: 'entries' }, reason: 'looking into it', ...more };
  return fixture.call('ledger.disclose', { json, ...(peer === null ? {} : { peer }) });
}

const get = (fixture: GlassSite, method: EngineMethod, peer: Peer, args: Record<string, string> = {}) =>
  fixture.call(method, { peer, args });

describe('a recorded read', () => {
  it('is an entry that says who, what, how much and why, before anything is shown', () => {
    const fixture = site();
    const { decision_id } = decide(fixture);
    const before = fixture.call('ledger.entries').body.size;
    const { status, body } = disclose(fixture, ALICE, {
      subject: { what: 'decision', decision_id: String(decision_id) },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ index: before, right: 'raw', count: 1 });
    const [found] = fixture.call('ledger.entries', { args: { from: String(before) } }).body
      .entries as unknown as { entry: JsonObject }[];
    expect(found?.entry).toMatchObject({
      type: 'ledger.read',
      stream: 'reading',
      actor: { id: 'alice', role: 'l3' },
      data: {
        right: 'raw',
        subject: { what: 'decision', decision_id },
        reason: 'looking into it',
        count: 1,
        reader: { known_by: 'identity', uid: 1_001 },
      },
    });
    expect(body.entry_id).toBe(entryHash(Buffer.from(JSON.stringify(found?.entry))));
  });

  it.each([
    ['raw', BOB, 'bob'],
    ['export', ALICE, 'alice'],
    ['raw', READER, 'service:viewer'],
    ['raw', DUTY, 'dora'],
  ] as const)('needs the role: %s is not for %o', (right, peer, who) => {
    const fixture = site();
    const before = fixture.call('ledger.entries').body.size;
    const { status, body } = disclose(fixture, peer, { right });
    expect(status).toBe(403);
    expect(body.code).toBe('reading.not_permitted');
    expect(body.detail).toContain(who);
    expect(fixture.call('ledger.entries').body.size).toBe(before);
  });

  it('is nobody’s while the policy says nothing about reading', () => {
    const fixture = site(bundle(null));
    for (const right of ['raw', 'export']) {
      expect(disclose(fixture, ALICE, { right }).body.code).toBe('reading.not_permitted');
    }
  });

  it('is not for the account that holds the files, which is no person', () => {
    expect(disclose(site(), user(990)).body.code).toBe('reading.unknown_reader');
  });

  it('is not for a name that the caller may not use', () => {
    const { body } = disclose(site(), BOB, { actor: { id: 'alice' } });
    expect(body.code).toBe('peer.not_that_actor');
  });

  it('is not for somebody who was suspended', () => {
    const made = bundle();
    Object.assign(made.principals.alice ?? {}, { status: 'suspended' });
    expect(disclose(site(made), ALICE).body.code).toBe('peer.not_active');
  });

  it('withholds a reason that holds a secret', () => {
    const fixture = site();
    const secret = '-----BEGIN OPENSSH PRIVATE KEY-----';
    const { body } = disclose(fixture, ALICE, { reason: secret });
    const text = JSON.stringify(fixture.call('ledger.entries', { args: { from: String(body.index) } }).body);
    expect(text).not.toContain(secret);
    expect(text).toContain('[withheld');
  });
});

describe('where nobody is told apart', () => {
  const quiet = () => {
    const made = testBundle({ reading: { raw: ['l3'], export: ['l3'] } });
    open = new GlassSite(made);
    return open;
  };

  it('a dev site records that it does not know who reads', () => {
    const fixture = quiet();
    const { status, body } = disclose(fixture, user(1_001));
    expect(status).toBe(200);
    const text = JSON.stringify(fixture.call('ledger.entries', { args: { from: String(body.index) } }).body);
    expect(text).toContain('"known_by":"none"');
    expect(text).toContain('"uid":1001');
  });

  it('a name counts by its roles, and is recorded as no more than a name', () => {
    const fixture = quiet();
    expect(disclose(fixture, null, { actor: { id: 'bob' } }).body.code).toBe('reading.not_permitted');
    expect(disclose(fixture, null, { actor: { id: 'nobody' } }).body.code).toBe('reading.unknown_reader');
    const { body } = disclose(fixture, null, { actor: { id: 'alice' } });
    const text = JSON.stringify(fixture.call('ledger.entries', { args: { from: String(body.index) } }).body);
    expect(text).toContain('"known_by":"name"');
    expect(text).toContain('"actor":{"id":"alice","role":"l3"}');
  });
});

describe('reading under break-glass', () => {
  const read = (fixture: GlassSite, session: unknown, decision_id: unknown, more: JsonObject = {}) =>
    disclose(fixture, DUTY, {
      subject: { what: 'decision', decision_id: String(decision_id) },
      breakglass: String(session),
      ...more,
    });

  it('opens decisions in the place of an open session to its roles, and says so', () => {
    const fixture = site();
    const { decision_id } = decide(fixture, 'service:relay-2', 'production');
    const other = decide(fixture, 'service:other', 'production').decision_id;
    const { id } = fixture.opened({ place: PLACE });
    expect(
      disclose(fixture, DUTY, { subject: { what: 'decision', decision_id: String(decision_id) } }).status,
    ).toBe(403);
    const { status, body } = read(fixture, id, decision_id);
    expect(status).toBe(200);
    const text = JSON.stringify(fixture.call('ledger.entries', { args: { from: String(body.index) } }).body);
    expect(text).toContain(`"breakglass":"${id}"`);
    expect(read(fixture, id, other).body.code).toBe('breakglass.not_covered');
    expect(read(fixture, id, decision_id, { right: 'export' }).body.code).toBe('reading.not_permitted');
    expect(
      disclose(fixture, READER, {
        subject: { what: 'decision', decision_id: String(decision_id) },
        breakglass: String(id),
      }).body.code,
    ).toBe('reading.not_permitted');
  });

  it('is shown to whoever reviews the session', () => {
    const fixture = site();
    const { decision_id } = decide(fixture, 'service:relay-2', 'production');
    const session = fixture.opened({ place: PLACE });
    expect(session.reads).toEqual([]);
    read(fixture, session.id, decision_id);
    fixture.about(session, 'end');
    fixture.reopen();
    expect(fixture.call('breakglass.get', { args: { id: String(session.id) } }).body.reads).toMatchObject([
      { decision_id, by: 'dora', role: 'duty', reason: 'looking into it' },
    ]);
    expect(fixture.about(session, 'review').status).toBe(200);
  });

  it('ends with the session', () => {
    const fixture = site();
    const { decision_id } = decide(fixture, 'service:relay-2', 'production');
    const session = fixture.opened({ place: PLACE });
    fixture.about(session, 'end');
    expect(read(fixture, session.id, decision_id).body.code).toBe('breakglass.ended');
  });
});

describe('what is shown without a record', () => {
  const shown = (reply: { body: JsonObject }) => JSON.stringify(reply.body);
  const value = '"grace_seconds":7';
  const resolved = '--grace=7';

  it('holds no payload value in lists, while the policy has reading rights', () => {
    const fixture = site();
    decide(fixture);
    for (const method of ['decisions.list', 'ledger.entries'] as const) {
      for (const peer of [ALICE, READER]) {
        const text = shown(get(fixture, method, peer));
        expect(text).toContain('restart_service');
        expect(text).not.toContain(value);
        expect(text).not.toContain(resolved);
        expect(text).toContain(JSON.stringify(MASK));
      }
    }
    const old = site(bundle(null));
    decide(old);
    expect(shown(get(old, 'ledger.entries', READER))).toContain(value);
  });

  it('is the whole decision for who works on it, and a masked one without its bytes for others', () => {
    const fixture = site();
    const { decision_id } = decide(fixture);
    const args = { id: String(decision_id) };
    // Alice may approve it.
    expect(shown(get(fixture, 'decisions.get', ALICE, args))).toContain(value);
    expect(shown(get(fixture, 'decisions.entries', ALICE, args))).toContain(value);
    const masked = get(fixture, 'decisions.get', READER, args);
    expect(masked.status).toBe(202);
    expect(shown(masked)).not.toContain(value);
    expect(shown(masked)).not.toContain(resolved);
    expect(shown(masked)).not.toContain(Buffer.from(value).toString('base64').slice(4, 12));
    expect(get(fixture, 'decisions.entries', READER, args).body.code).toBe('reading.not_recorded');
    const record = (masked.body.ledger as JsonObject).record_id;
    const proof = get(fixture, 'ledger.proof', READER, { index: String(record) });
    expect(proof.body.code).toBe('reading.not_recorded');
    expect(get(fixture, 'ledger.tile', READER, { level: 'entries', n: '0', width: '3' }).body.code).toBe(
      'reading.not_recorded',
    );
  });

  it('is opened by a record: what it is about, for whom it is, for an hour', () => {
    const fixture = site();
    const [first, second] = [decide(fixture), decide(fixture)];
    const index = (first.ledger as JsonObject).record_id as number;
    const { body } = disclose(fixture, ALICE, { subject: { what: 'entries', from: index, size: 1 } });
    const args = { from: String(index), read: String(body.index) };
    const entries = get(fixture, 'ledger.entries', ALICE, args).body.entries as JsonObject[];
    expect(JSON.stringify(entries[0])).toContain(value);
    expect(JSON.stringify(entries[1])).toContain(String(second.decision_id));
    expect(JSON.stringify(entries[1])).not.toContain(value);
    expect(get(fixture, 'ledger.entries', BOB, args).body.code).toBe('reading.not_recorded');
    expect(get(fixture, 'ledger.entries', ALICE, { read: '0' }).body.code).toBe('reading.not_recorded');
    expect(get(fixture, 'ledger.entries', ALICE, { read: '999999' }).body.code).toBe('reading.not_recorded');
    fixture.clock.pass(3_600_001);
    expect(get(fixture, 'ledger.entries', ALICE, args).body.code).toBe('reading.not_recorded');
  });

  it('needs the role for summaries, where the policy names one', () => {
    const fixture = site(bundle({ ...RIGHTS, summary: ['l3'] }));
    for (const method of ['ledger.entries', 'decisions.list'] as const) {
      expect(get(fixture, method, ALICE).status).toBe(200);
      expect(get(fixture, method, READER).body.code).toBe('reading.not_permitted');
      const admitted = get(fixture, 'peers.admit', READER, { method: 'ledger.search' });
      expect(admitted.body.code).toBe('reading.not_permitted');
      // Whoever holds the files may look.
      expect(get(fixture, method, user(990)).status).toBe(200);
    }
  });
});
