import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { openHeadStore } from '../../daemon/ledger/head-store.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person, SITE, START } from './fixture.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const open: EngineFixture[] = [];

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** Who may state the time is l3: alice. A class is allowed, one queued, one denied while the time is uncertain. */
function bundle(time: Partial<NonNullable<Bundle['time']>> = {}): Bundle {
  const made = testBundle();
  Object.assign(made.actions.read_telemetry ?? {}, { time_uncertain: 'allow', permit_ttl: '5m' });
  Object.assign(made.actions.wipe_storage ?? {}, { time_uncertain: 'deny' });
  made.time = { state_roles: ['l3'], max_lowering: '30d', ...time };
  return made;
}

function site(rules: Bundle = bundle()): EngineFixture {
  const fixture = new EngineFixture(rules);
  open.push(fixture);
  return fixture;
}

const create = (fixture: EngineFixture, actionClass = 'read_telemetry', target = 'sensor:t-1') =>
  fixture.call('decisions.create', { json: ask(actionClass, target) }).body;
const redeem = (fixture: EngineFixture, decision: JsonObject) => {
  const permit = decision.permit as JsonObject;
  return fixture.call('permits.redeem', {
    args: { id: String(permit.id) },
    json: { audience: 'gateway', action_digest: String(decision.action_digest) },
  });
};
const time = (fixture: EngineFixture) => fixture.call('time.get').body;
const entries = (fixture: EngineFixture, stream = 'time') =>
  (fixture.call('ledger.entries').body.entries as unknown as { index: number; entry: Entry }[])
    .map(({ entry }) => entry)
    .filter((entry) => entry.stream === stream);
const causes = (fixture: EngineFixture) =>
  entries(fixture).map(({ type, data }) => `${type.slice(5)} ${data.cause}`);
const status = (fixture: EngineFixture, id: unknown) =>
  fixture.call('decisions.get', { args: { id: String(id) } }).body;
/** The daemon's own look, once a second, for some seconds. */
function seconds(fixture: EngineFixture, count: number): void {
  for (let n = 0; n < count; n++) {
    fixture.clock.pass(1_000);
    fixture.engine.tick();
  }
}

interface Statement {
  at?: number;
  who?: Person;
  changes?: object;
  challenge?: string;
}

function state(fixture: EngineFixture, { at, who = alice, changes = {}, challenge }: Statement = {}) {
  const drawn = challenge ?? String(time(fixture).challenge);
  const signed = fixture.sign(
    who,
    {},
    {
      subject: 'time',
      subject_digest: { challenge: drawn },
      answer: 'state',
      issued_at: new Date(at ?? fixture.clock.now()).toISOString(),
      ...changes,
    },
    'time',
  );
  return fixture.call('time.state', { json: signed });
}

describe('a boot with a dead battery', () => {
  const dead = () => {
    const fixture = site();
    const before = create(fixture);
    const waiting = create(fixture, 'restart_service', 'service:relay');
    fixture.engine.close();
    fixture.clock.boots(0);
    fixture.engine = fixture.open();
    return { fixture, before, waiting };
  };

  test('goes by the policy of each class, and says so', () => {
    const { fixture } = dead();
    expect(create(fixture)).toMatchObject({ status: 'authorized', time_trust: 'uncertain' });
    expect(create(fixture, 'restart_service', 'service:relay').enforcement).toMatchObject({
      result: 'queue',
    });
    expect(create(fixture, 'wipe_storage', 'disk:d').status).toBe('denied');
    const { ready, degraded } = fixture.call('status.get').body as { ready: boolean; degraded: JsonObject[] };
    expect(ready).toBe(true);
    const trouble = degraded.find(({ component }) => component === 'time');
    expect(trouble).toMatchObject({ since: new Date(START).toISOString() });
    expect(trouble?.cause).toContain('1970-01-01');
    expect(trouble?.instruction).toContain('l3');
  });

  test('uses no permit of an earlier boot, and ends it when the clock stays wrong', () => {
    const { fixture, before, waiting } = dead();
    expect(redeem(fixture, before).body.code).toBe('permit.time_uncertain');
    seconds(fixture, 2);
    expect(status(fixture, waiting.decision_id).status).toBe('pending_authority');
    fixture.clock.pass(10 * MINUTE);
    seconds(fixture, 2);
    expect(status(fixture, before.decision_id).status).toBe('expired');
    expect(status(fixture, waiting.decision_id).status).toBe('expired');
  });

  test('uses one that is still good once the clock was set right in time', () => {
    const { fixture, before } = dead();
    seconds(fixture, 60);
    fixture.clock.wall = START + 2 * MINUTE;
    expect(redeem(fixture, before).status).toBe(200);
    expect(causes(fixture)).toEqual(['uncertain behind_floor', 'restored clock_set']);
  });

  test('ends what was granted by the dead clock after as long as it was granted for', () => {
    const { fixture } = dead();
    const during = create(fixture);
    const late = create(fixture);
    fixture.clock.wall = START + HOUR;
    expect(redeem(fixture, during).status).toBe(200);
    fixture.clock.pass(5 * MINUTE);
    expect(redeem(fixture, late).body.code).toBe('permit.expired');
  });

  test('rejects approvals until the time is stated, and takes them after', () => {
    const { fixture, waiting } = dead();
    const approve = () =>
      fixture.call('decisions.approve', {
        args: { id: String(waiting.decision_id) },
        json: fixture.sign(alice, waiting, { issued_at: new Date(START + MINUTE).toISOString() }),
      });
    expect(approve().body.code).toBe('approval.time_uncertain');
    expect(state(fixture, { at: START + MINUTE }).body).toMatchObject({ trust: 'uncertain' });
    fixture.clock.wall = START + MINUTE;
    expect(approve().body).toMatchObject({ status: 'authorized', time_trust: 'floor' });
    expect(time(fixture).trust).toBe('trusted');
  });

  test('is recorded with its readings, before everything that was decided by it', () => {
    const { fixture } = dead();
    create(fixture);
    const all = fixture.call('ledger.entries').body.entries as unknown as { entry: Entry }[];
    const types = all.map(({ entry }) => entry.type);
    expect(types.slice(-2)).toEqual(['time.uncertain', 'decision.authorized']);
    expect(entries(fixture)[0]?.data).toMatchObject({
      cause: 'behind_floor',
      trust: 'uncertain',
      clock: { boot: fixture.clock.boot, expected: null, floor: new Date(START).toISOString() },
    });
  });
});

describe('a clock that jumps', () => {
  test('a year ahead ends nothing, poisons nothing, and is believed again when it is back', () => {
    const fixture = site();
    const permit = create(fixture);
    const waiting = create(fixture, 'restart_service', 'service:relay');
    fixture.clock.wall += YEAR;
    seconds(fixture, 3);
    expect(status(fixture, waiting.decision_id).status).toBe('pending_authority');
    expect(redeem(fixture, permit).status).toBe(200);
    fixture.engine.syncHead();
    fixture.clock.wall -= YEAR;
    seconds(fixture, 8);
    expect(time(fixture).trust).toBe('floor');
    expect(causes(fixture)).toEqual(['uncertain jumped', 'uncertain jumped', 'restored clock_returned']);
    expect(Date.parse(String(time(fixture).floor))).toBeLessThan(START + HOUR);
  });

  test('back does not revive a permit, or a decision that waited long enough', () => {
    const fixture = site();
    const permit = create(fixture);
    const waiting = create(fixture, 'restart_service', 'service:relay');
    fixture.clock.pass(2 * HOUR);
    fixture.clock.wall -= 2 * HOUR;
    expect(redeem(fixture, permit).body.code).toBe('permit.expired');
    const act = fixture.sign(alice, waiting);
    const answer = fixture.call('decisions.approve', {
      args: { id: String(waiting.decision_id) },
      json: act,
    });
    expect(answer.body.code).toBe('decision.terminal');
    seconds(fixture, 2);
    expect(status(fixture, waiting.decision_id).status).toBe('expired');
    expect(status(fixture, permit.decision_id).status).toBe('expired');
  });

  test('back does not revive an approval that was signed too long ago', () => {
    const fixture = site();
    const waiting = create(fixture, 'restart_service', 'service:relay');
    const act = fixture.sign(alice, waiting, { ttl_seconds: 60 });
    fixture.clock.pass(30 * MINUTE);
    fixture.clock.wall -= 30 * MINUTE;
    const answer = fixture.call('decisions.approve', {
      args: { id: String(waiting.decision_id) },
      json: act,
    });
    expect(answer.body.code).toBe('approval.time_uncertain');
  });

  test('is noticed over a restart of the daemon, and still doubted after it', () => {
    const fixture = site();
    fixture.engine.close();
    fixture.clock.wall += YEAR;
    fixture.engine = fixture.open();
    expect(create(fixture).time_trust).toBe('uncertain');
    fixture.reopen();
    expect(create(fixture).time_trust).toBe('uncertain');
    expect(causes(fixture)).toEqual(['uncertain jumped']);
    fixture.clock.wall -= YEAR;
    fixture.reopen();
    expect(create(fixture).time_trust).toBe('floor');
    expect(causes(fixture).at(-1)).toMatch(/^restored/);
  });

  test('and jumps again is recorded again, but not at every look', () => {
    const fixture = site();
    for (let n = 0; n < 30; n++) {
      fixture.clock.wall += YEAR;
      seconds(fixture, 1);
    }
    expect(entries(fixture).length).toBeGreaterThan(3);
    expect(entries(fixture).length).toBeLessThan(8);
  });

  test('because the machine slept did not jump', () => {
    const fixture = site();
    const permit = create(fixture);
    fixture.clock.sleep(3 * HOUR);
    expect(create(fixture).time_trust).toBe('floor');
    expect(entries(fixture)).toEqual([]);
    expect(redeem(fixture, permit).body.code).toBe('permit.expired');
  });

  test('keeps grants of each setting apart over a restart of the daemon', () => {
    const fixture = site();
    const first = create(fixture);
    fixture.clock.wall += 3 * HOUR;
    state(fixture);
    const second = create(fixture);
    fixture.clock.pass(2 * MINUTE);
    fixture.reopen();
    expect(time(fixture).trust).toBe('trusted');
    expect(redeem(fixture, first).status).toBe(200);
    fixture.clock.pass(4 * MINUTE);
    expect(redeem(fixture, second).body.code).toBe('permit.expired');
  });
});

describe('a statement of the time', () => {
  test('makes a clock that agrees a trusted one, with the act as evidence', () => {
    const fixture = site();
    const answer = state(fixture);
    expect(answer.body).toMatchObject({ trust: 'trusted', cause: 'statement' });
    expect(entries(fixture)).toMatchObject([
      {
        type: 'time.restored',
        actor: { id: 'alice', role: 'l3' },
        data: { outside_time: { source: 'statement', window_ms: 0 }, trust: 'trusted', principal: 'alice' },
      },
    ]);
    expect(create(fixture).time_trust).toBe('trusted');
  });

  test('counts in this boot only', () => {
    const fixture = site();
    state(fixture);
    fixture.reopen();
    expect(time(fixture).trust).toBe('trusted');
    fixture.engine.close();
    fixture.clock.boots(fixture.clock.wall + HOUR);
    fixture.engine = fixture.open();
    expect(time(fixture).trust).toBe('floor');
  });

  test('forgives a clock that was corrected, without a restart', () => {
    const fixture = site();
    fixture.clock.wall += 3 * HOUR;
    expect(create(fixture).time_trust).toBe('uncertain');
    state(fixture);
    expect(create(fixture).time_trust).toBe('trusted');
    expect(causes(fixture)).toEqual(['uncertain jumped', 'restored statement']);
  });

  test('lowers the floor durably, and no policy that was heard before raises it again', () => {
    const fixture = site();
    const ahead = {
      ...bundle(),
      metadata: { ...bundle().metadata, version: 2, issued_at: '2031-03-20T00:00:00Z' },
    };
    expect(fixture.apply(ahead, 2).status).toBe(200);
    expect(time(fixture)).toMatchObject({ trust: 'uncertain', cause: 'behind_floor' });
    expect(entries(fixture, 'policy').at(-1)?.data.outside_time).toMatchObject({ source: 'policy' });
    expect(state(fixture).body).toMatchObject({ trust: 'trusted' });
    const floor = () => openHeadStore(fixture.paths.head, { readonly: true });
    // As after a crash that came before the second copy was brought along.
    fixture.reopen();
    expect(Date.parse(String(time(fixture).floor))).toBeLessThan(START + HOUR);
    fixture.engine.syncHead();
    const store = floor();
    expect(store.read(`${SITE}/ledger`)?.floorMs).toBeLessThan(START + HOUR);
    store.close();
    fixture.engine.close();
    fixture.clock.boots(fixture.clock.wall);
    fixture.engine = fixture.open();
    expect(time(fixture).trust).toBe('floor');
  });

  test('that was kept and not submitted cannot set the time back later', () => {
    const fixture = site();
    const challenge = String(time(fixture).challenge);
    const kept = { at: START, challenge };
    fixture.clock.pass(13 * HOUR);
    expect(state(fixture, kept).body.code).toBe('time.challenge_unknown');
    expect(state(fixture, { ...kept, challenge: String(time(fixture).challenge) }).status).toBe(200);
    fixture.reopen();
    expect(state(fixture, kept).body.code).toBe('time.challenge_unknown');
  });

  test.each<[string, string, Statement]>([
    [
      'by a role that may not',
      'approval.role_not_required',
      { who: carol, changes: { role: 'safety_officer' } },
    ],
    ['in a role that is not held', 'approval.role_not_held', { who: bob }],
    ['by a key of nobody', 'approval.unknown_key', { who: { ...alice, seed: new Uint8Array(32).fill(9) } }],
    ['for another site', 'approval.wrong_site', { changes: { site: 'other.example' } }],
    ['about something else', 'approval.wrong_subject', { changes: { subject: 'times' } }],
    ['that answers something else', 'approval.malformed', { changes: { answer: 'approve' } }],
    ['without a challenge', 'time.challenge_unknown', { changes: { subject_digest: {} } }],
    ['to an invented challenge', 'time.challenge_unknown', { challenge: 'ab'.repeat(32) }],
    ['that takes the floor back too far', 'time.lowered_too_far', { at: START - 31 * DAY }],
  ])('%s is refused and changes nothing', (_, code, statement) => {
    const fixture = site();
    const before = fixture.call('ledger.entries').body.entries;
    expect(state(fixture, statement).body.code).toBe(code);
    expect(time(fixture)).toMatchObject({ trust: 'floor', cause: 'boot' });
    expect(fixture.call('ledger.entries').body.entries).toEqual(before);
  });

  test('with more than its challenge is refused', () => {
    const fixture = site();
    const challenge = String(time(fixture).challenge);
    const more = { subject_digest: { challenge, policy: 'ab'.repeat(32) } };
    expect(state(fixture, { changes: more }).body.code).toBe('approval.wrong_digest');
  });

  test('counts once', () => {
    const fixture = site();
    const challenge = String(time(fixture).challenge);
    const again = { challenge, changes: { nonce: 'n'.repeat(22) } };
    expect(state(fixture, again).status).toBe(200);
    expect(state(fixture, again).body.code).toBe('approval.nonce_used');
  });

  test('that arrives too late for its own ttl is refused', () => {
    const fixture = site();
    const challenge = String(time(fixture).challenge);
    fixture.clock.pass(2 * MINUTE);
    expect(state(fixture, { challenge, changes: { ttl_seconds: 60 } }).body.code).toBe('approval.expired');
  });

  test('is nobody’s to make where the policy names nobody', () => {
    const { time: _, ...plain } = bundle();
    const fixture = site(plain);
    expect(state(fixture).body.code).toBe('approval.role_not_required');
    fixture.clock.wall += YEAR;
    const { degraded } = fixture.call('status.get').body as { degraded: JsonObject[] };
    const trouble = degraded.find(({ component }) => component === 'time');
    expect(trouble?.instruction).toContain('start the machine again');
  });
});

describe('an imported policy', () => {
  test('explains a clock that was set right shortly after it was issued', () => {
    const fixture = site();
    const issued = START + 20 * DAY;
    fixture.clock.wall = issued + HOUR;
    expect(create(fixture).time_trust).toBe('uncertain');
    const { metadata } = bundle();
    const issued_at = `${new Date(issued).toISOString().slice(0, 19)}Z`;
    fixture.apply({ ...bundle(), metadata: { ...metadata, version: 2, issued_at } }, 2);
    expect(create(fixture).time_trust).toBe('floor');
    expect(causes(fixture).at(-1)).toMatch(/^restored (clock_set|policy)$/);
  });

  test('says nothing about the time where that is known better', () => {
    const fixture = site();
    const { metadata } = bundle();
    fixture.apply(
      { ...bundle(), metadata: { ...metadata, version: 2, issued_at: '2031-02-01T00:00:00Z' } },
      2,
    );
    expect(entries(fixture, 'policy').at(-1)?.data).not.toHaveProperty('outside_time');
  });
});

describe('a kernel', () => {
  test('is asked by a policy that believes it, and by no other', () => {
    const plain = site();
    plain.clock.kernel = true;
    seconds(plain, 1);
    expect(create(plain).time_trust).toBe('floor');
    const believing = site(bundle({ believe_kernel: true }));
    believing.clock.kernel = true;
    seconds(believing, 1);
    expect(create(believing).time_trust).toBe('trusted');
    believing.clock.wall += HOUR;
    expect(create(believing).time_trust).toBe('trusted');
    believing.clock.kernel = false;
    seconds(believing, 1);
    expect(create(believing).time_trust).toBe('floor');
  });
});

describe('readiness', () => {
  test('is red while time is uncertain and no class is allowed then', () => {
    const strict = bundle();
    Object.assign(strict.actions.read_telemetry ?? {}, { time_uncertain: 'queue' });
    const fixture = site(strict);
    expect(fixture.call('status.get').body.ready).toBe(true);
    fixture.clock.wall += YEAR;
    expect(fixture.call('status.get').body).toMatchObject({ ready: false, time: { trust: 'uncertain' } });
  });
});

test('boots stand in the projections as the entries say', () => {
  const fixture = site();
  fixture.engine.close();
  fixture.clock.boots(START + DAY);
  fixture.engine = fixture.open();
  fixture.engine.close();
  const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND, readonly: true });
  expect(checkProjections(database)).toEqual([]);
  expect(database.prepareColumn("SELECT count(*) FROM standing WHERE kind = 'boot'").get()).toBe(2);
  database.close();
  fixture.engine = fixture.open();
});
