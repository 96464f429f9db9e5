import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { siteTargetDigest } from '../../daemon/core/hold.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { checkLedger } from '../oracle.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, type Person, person, SITE, START } from './fixture.ts';

const erin = person('erin');
const frank = person('frank');
const grace = person('grace');
const HOUR = 3_600_000;

const human = (roles: string[], line: string, status: 'active' | 'revoked' = 'active') => ({
  kind: 'human' as const,
  roles,
  status: 'active' as const,
  keys: [{ public_key: line, status }],
});

/** Two of erin, frank and grace must sign before an update counts. */
function heldBundle(version: number, changes: Partial<Bundle> = {}): Bundle {
  const base = testBundle();
  return {
    ...base,
    metadata: { ...base.metadata, version },
    activation: { hold: { roles: ['l4', 'l5'], min_signatures: 2, max_wait: '2d' } },
    principals: {
      ...base.principals,
      erin: human(['l4'], erin.line),
      frank: human(['l5'], frank.line),
      grace: human(['l4'], grace.line),
    },
    ...changes,
  };
}

let fixture: EngineFixture;
afterEach(() => {
  const { entries } = checkLedger(fixture.paths, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] });
  expect(fixture.reports).toEqual([]);
  expect(entries.length).toBeGreaterThan(0);
  fixture.engine.stop('test over');
  for (const { table, repaired } of rebuildProjections(fixture.paths.ledger))
    expect([table, repaired]).toEqual([table, 0]);
  rmSync(fixture.paths.root, { recursive: true, force: true });
});

interface Offer {
  effective_at?: string;
  expires_at?: string | null;
  environments?: string[];
  /** Another TUF state with the same site target. */
  again?: string;
}

/** Offers an update to the engine, as an import that found it good would. */
function offer(bundle: Bundle, serial: number, options: Offer = {}) {
  const bytes = canonicalBytes(bundle as unknown as Json);
  const digest = sha256Hex(bytes);
  writeFileSync(join(fixture.paths.policy, 'bundles', `${digest}.json`), bytes);
  const { name, version } = bundle.metadata;
  const pinned = { name, version, digest, path: `bundles/${name}/${version}.json` };
  const environments = options.environments ?? Object.keys(bundle.environments);
  const site_target = {
    site: SITE,
    serial,
    issued_at: '2031-02-01T00:00:00Z',
    ...(options.effective_at === undefined ? {} : { effective_at: options.effective_at }),
    environments: Object.fromEntries(environments.map((env) => [env, pinned])),
  };
  const update_id = sha256Hex(canonicalBytes({ site_target, again: options.again ?? '' }));
  const answer = fixture.call('policy.apply', {
    json: {
      update_id,
      source: 'stick',
      who: 'operator',
      repository: { root: 1, timestamp: serial, snapshot: serial, targets: serial },
      site_target,
      checked: true,
      expires_at: options.expires_at === undefined ? '2031-06-01T00:00:00.000Z' : options.expires_at,
    },
  });
  return { ...answer, update_id, site_target };
}

type Offered = ReturnType<typeof offer>;

function release(offered: Offered, who: Person, changes: Partial<SignedAct> = {}) {
  const json = fixture.sign(
    who,
    {},
    {
      subject: offered.update_id,
      subject_digest: { site_target: siteTargetDigest(offered.site_target) },
      role: who === frank ? 'l5' : 'l4',
      ...changes,
    },
    'hold',
  );
  return fixture.call('policy.release', { args: { id: changes.subject ?? offered.update_id }, json });
}

const inForce = () =>
  (fixture.call('policy.get', { args: { brief: '1' } }).body as { serial: number }).serial;
const held = () => fixture.call('policy.held').body.held as JsonObject | null;
const policyEntries = () =>
  (fixture.call('policy.history').body.entries as { entry: { type: string; data: JsonObject } }[]).map(
    ({ entry }) => entry,
  );
const types = () =>
  policyEntries()
    .map(({ type }) => type.replace('policy.', ''))
    .filter((type) => type !== 'degraded');
const tick = (ms = 1_000) => {
  fixture.clock.pass(ms);
  fixture.engine.tick();
};

function site(first: Bundle = heldBundle(1)): void {
  fixture = new EngineFixture(first);
}

describe('an update that the rules in force hold', () => {
  it('waits until enough people signed, then is in force in one transaction with the last signature', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    expect(offered.body).toMatchObject({
      applied: false,
      held: true,
      hold: { missing: [expect.stringContaining('2 signatures by l4 or l5')] },
    });
    expect(inForce()).toBe(1);
    const first = release(offered, erin);
    expect(first).toMatchObject({ status: 200, body: { state: 'held' } });
    expect(inForce()).toBe(1);
    const last = release(offered, frank);
    expect(last).toMatchObject({ status: 200, body: { state: 'applied' } });
    expect(inForce()).toBe(2);
    expect(types()).toEqual(['applied', 'held', 'approved', 'approved', 'applied']);
    const entries = fixture.call('policy.history').body.entries as {
      index: number;
      entry: { data: JsonObject };
    }[];
    const [, holding, one, two, applied] = entries;
    expect(applied?.entry.data.hold).toEqual({
      id: offered.update_id,
      held: holding?.index,
      acts: [one?.index, two?.index],
    });
    expect(held()).toBeNull();
  });

  it('is not held by itself alone: an update that takes the rule away waits for it', () => {
    site();
    const { activation: _none, ...free } = heldBundle(2);
    expect(offer(free as Bundle, 2).body).toMatchObject({ held: true });
    expect(inForce()).toBe(1);
  });

  it('is held by its own rule too, under the roster in force', () => {
    const { activation: _none, ...free } = heldBundle(1);
    site(free as Bundle);
    const offered = offer(heldBundle(2), 2);
    expect(offered.body).toMatchObject({ held: true });
    release(offered, erin);
    expect(release(offered, grace).body).toMatchObject({ state: 'applied' });
  });

  it('is the first policy of a site never, which says so', () => {
    fixture = new EngineFixture(null);
    expect(offer(heldBundle(1), 1).body).toMatchObject({ applied: true });
    expect(inForce()).toBe(1);
  });

  it('does not wait where the bundles stay the same', () => {
    site();
    expect(offer(heldBundle(1), 2).body).toMatchObject({ applied: true });
    expect(inForce()).toBe(2);
  });

  it('changes nothing about decisions meanwhile', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    const before = fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:a') });
    expect(before.body).toMatchObject({ policy_version: 'engine-test@1' });
    release(offered, erin);
    release(offered, frank);
    const after = fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:a') });
    expect(after.body).toMatchObject({ policy_version: 'engine-test@2' });
  });

  it('comes again without harm', () => {
    site();
    offer(heldBundle(2), 2);
    const again = offer(heldBundle(2), 2);
    expect(again.body).toMatchObject({ held: true, unchanged: true, record_id: null });
    expect(types()).toEqual(['applied', 'held']);
  });
});

describe('who releases', () => {
  const refused = (who: Person, changes: Partial<SignedAct>, code: string, isRecorded = true) => {
    site();
    const offered = offer(heldBundle(2), 2);
    const before = types().length;
    const { status, body } = release(offered, who, changes);
    expect({ status: status >= 400, code: body.code }).toEqual({ status: true, code });
    expect(types().length - before).toBe(isRecorded ? 1 : 0);
    if (isRecorded)
      expect(policyEntries().at(-1)).toMatchObject({ type: 'approval.rejected', data: { code } });
    expect(inForce()).toBe(1);
  };

  it.each<[string, Person, Partial<SignedAct>, string, boolean]>([
    ['a stranger', person('mallory'), {}, 'approval.unknown_key', false],
    ['a role not held', erin, { role: 'l5' }, 'approval.role_not_held', true],
    ['a role not asked for', person('alice'), { role: 'l3' }, 'approval.unknown_key', false],
    [
      'other content',
      erin,
      { subject_digest: { site_target: '0'.repeat(64) } },
      'approval.wrong_digest',
      true,
    ],
    [
      'one digest more',
      erin,
      { subject_digest: { site_target: '0'.repeat(64), policy: '1'.repeat(64) } },
      'approval.wrong_digest',
      true,
    ],
    ['another site', erin, { site: 'elsewhere.example' }, 'approval.wrong_site', true],
    [
      'a signature that is over',
      erin,
      { issued_at: new Date(START - 2 * HOUR).toISOString() },
      'approval.expired',
      true,
    ],
    [
      'a signature of tomorrow',
      erin,
      { issued_at: new Date(START + 24 * HOUR).toISOString() },
      'approval.not_yet_valid',
      true,
    ],
    ['an answer of another kind', erin, { answer: 'succeeded' }, 'approval.malformed', true],
  ])('not %s', (name, who, changes, code, isRecorded) => {
    if (name === 'a role not asked for') {
      site(heldBundle(1));
      const offered = offer(heldBundle(2), 2);
      const { body } = release(offered, person('alice'), { role: 'l3' });
      expect(body.code).toBe('approval.role_not_required');
      return;
    }
    refused(who, changes, code, isRecorded);
  });

  it('not an act of another kind, nor one about another update', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    const act = fixture.sign(erin, {}, { subject: offered.update_id, subject_digest: {} }, 'resume');
    const args = { id: offered.update_id };
    expect(fixture.call('policy.release', { args, json: act }).body.code).toBe('approval.wrong_kind');
    const other = '1'.repeat(64);
    expect(release(offered, erin, { subject: other }).body.code).toBe('policy.not_held');
    const astray = fixture.sign(erin, {}, { subject: other, subject_digest: {} }, 'hold');
    expect(fixture.call('policy.release', { args, json: astray }).body.code).toBe('approval.wrong_subject');
  });

  it('nobody twice, by the same act or another', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    const nonce = 'nonce-nonce-nonce-1';
    expect(release(offered, erin, { nonce }).body.state).toBe('held');
    expect(release(offered, erin, { nonce }).body.code).toBe('approval.nonce_used');
    expect(release(offered, erin).body.code).toBe('approval.duplicate_person');
    expect(inForce()).toBe(1);
  });

  it('nobody whose key the update revokes', () => {
    site();
    const next = heldBundle(2);
    next.principals.erin = human(['l4'], erin.line, 'revoked');
    const offered = offer(next, 2);
    expect(release(offered, erin).body.code).toBe('approval.revoked_key');
    expect(release(offered, erin, { answer: 'reject' }).body.code).toBe('approval.revoked_key');
    release(offered, frank);
    expect(release(offered, grace).body.state).toBe('applied');
  });

  it('nobody while the clock is in doubt', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    fixture.clock.wall -= 365 * 24 * HOUR;
    expect(release(offered, erin).body.code).toBe('approval.time_uncertain');
  });

  it('records refused acts of one update up to a bound', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    for (let n = 0; n < 60; n++) release(offered, erin, { role: 'l5' });
    expect(types().filter((type) => type === 'approval.rejected')).toHaveLength(50);
    release(offered, erin);
    expect(release(offered, frank).body.state).toBe('applied');
  });
});

describe('a rejection', () => {
  it('ends the update for good, and leaves the next one its way', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    release(offered, erin);
    expect(release(offered, frank, { answer: 'reject', reason: 'not before the repair' }).body.state).toBe(
      'rejected',
    );
    expect(policyEntries().at(-1)).toMatchObject({
      type: 'policy.rejected',
      data: { code: 'policy.rejected', reason: 'frank (l5) rejected it: not before the repair', serial: 2 },
    });
    expect(held()).toBeNull();
    expect(release(offered, grace).body.code).toBe('policy.not_held');
    const again = offer(heldBundle(2), 2);
    expect(again.body.code).toBe('policy.rejected');
    const signedAnew = offer(heldBundle(2), 2, { again: 'later timestamp' });
    expect(signedAnew.body.code).toBe('policy.rejected');
    fixture.reopen();
    expect(offer(heldBundle(2), 2).body.code).toBe('policy.rejected');
    expect(offer(heldBundle(3), 3).body).toMatchObject({ held: true });
    expect(inForce()).toBe(1);
  });
});

describe('an update with a date', () => {
  const at = (ms: number) => new Date(START + ms).toISOString().replace('.000Z', 'Z');
  const free = (version: number) => {
    const { activation: _none, ...rest } = heldBundle(version);
    return rest as Bundle;
  };

  it('comes into force by itself when its time has come, and not before', () => {
    site(free(1));
    const offered = offer(free(2), 2, { effective_at: at(HOUR) });
    expect(offered.body).toMatchObject({ held: true, hold: { missing: [], effective_at: at(HOUR) } });
    for (let n = 0; n < 10; n++) tick();
    expect(inForce()).toBe(1);
    expect(types()).toEqual(['applied', 'held']);
    tick(HOUR);
    tick();
    expect(inForce()).toBe(2);
    expect(types()).toEqual(['applied', 'held', 'applied']);
  });

  it('is in force at once where its date has passed', () => {
    site(free(1));
    expect(offer(free(2), 2, { effective_at: at(-HOUR) }).body).toMatchObject({ applied: true });
  });

  it('does not come into force while the clock is in doubt, and does when it is believed again', () => {
    site(free(1));
    offer(free(2), 2, { effective_at: at(HOUR) });
    fixture.clock.wall += 400 * 24 * HOUR;
    tick();
    tick();
    tick();
    expect(inForce()).toBe(1);
    fixture.clock.wall -= 400 * 24 * HOUR;
    fixture.clock.pass(2 * HOUR);
    fixture.reopen();
    for (let n = 0; n < 4; n++) tick();
    expect(inForce()).toBe(2);
  });

  it('waits for its date where the clock is in doubt when it comes', () => {
    site(free(1));
    fixture.clock.wall += 400 * 24 * HOUR;
    expect(offer(free(2), 2, { effective_at: at(HOUR) }).body).toMatchObject({ held: true });
  });

  it('waits for signatures as well where both are asked for', () => {
    site();
    const offered = offer(heldBundle(2), 2, { effective_at: at(HOUR) });
    release(offered, erin);
    expect(release(offered, frank).body).toMatchObject({ state: 'scheduled', effective_at: at(HOUR) });
    tick();
    expect(inForce()).toBe(1);
    tick(HOUR);
    tick();
    expect(inForce()).toBe(2);
    expect(policyEntries().at(-1)).toMatchObject({
      data: { hold: { acts: [expect.any(Number), expect.any(Number)] } },
    });
  });

  it('may be the first policy of a site', () => {
    fixture = new EngineFixture(null);
    expect(offer(heldBundle(1), 1, { effective_at: at(HOUR) }).body).toMatchObject({ held: true });
    const decision = fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:a') });
    expect(decision.body).toMatchObject({ status: 'denied' });
    tick(2 * HOUR);
    for (let n = 0; n < 4; n++) tick();
    expect(inForce()).toBe(1);
  });
});

describe('an update that waits too long', () => {
  const lapsed = (code: string) => {
    expect(policyEntries().at(-1)).toMatchObject({ type: 'policy.lapsed', data: { code, serial: 2 } });
    expect(held()).toBeNull();
    expect(inForce()).toBe(1);
  };

  it('is given up when people have had their time', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    release(offered, erin);
    tick(47 * HOUR);
    expect(held()).not.toBeNull();
    tick(2 * HOUR);
    lapsed('policy.not_released');
    expect(release(offered, frank).body.code).toBe('policy.not_held');
  });

  it('may be brought again then, and starts from nothing', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    release(offered, erin);
    tick(49 * HOUR);
    expect(offer(heldBundle(2), 2).body).toMatchObject({ held: true, hold: { votes: [] } });
    expect(release(offered, frank).body).toMatchObject({ state: 'held' });
  });

  it('is never put in force after its metadata expired, however many signed', () => {
    site();
    const offered = offer(heldBundle(2), 2, { expires_at: new Date(START + HOUR).toISOString() });
    release(offered, erin);
    fixture.clock.pass(HOUR);
    expect(release(offered, frank).body.code).toBe('policy.expired');
    tick();
    lapsed('policy.expired');
  });

  it('is not put in force at a date after its metadata expired', () => {
    site();
    const offered = offer(heldBundle(2), 2, {
      expires_at: new Date(START + HOUR).toISOString(),
      effective_at: '2031-03-02T00:00:00Z',
    });
    release(offered, erin);
    release(offered, frank);
    tick(24 * HOUR);
    lapsed('policy.expired');
  });

  it('is not given up by a clock that nobody believes', () => {
    site();
    offer(heldBundle(2), 2);
    fixture.clock.wall += 400 * 24 * HOUR;
    tick();
    expect(held()).not.toBeNull();
  });

  it('is given up when its bundle was changed on disk', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    release(offered, erin);
    fixture.reopen();
    const { digest } = offered.site_target.environments.production ?? { digest: '' };
    const path = join(fixture.paths.policy, 'bundles', `${digest}.json`);
    writeFileSync(path, `${readFileSync(path, 'utf8')} `);
    expect(release(offered, frank).body.state).toBe('lapsed');
    lapsed('policy.defective');
  });
});

describe('another update meanwhile', () => {
  it('takes its place when it is newer, and starts from nothing', () => {
    site();
    const older = offer(heldBundle(2), 2);
    release(older, erin);
    const newer = offer(heldBundle(3), 3);
    expect(newer.body).toMatchObject({ held: true, forget: [older.update_id], hold: { votes: [] } });
    expect(types()).toEqual(['applied', 'held', 'approved', 'lapsed', 'held']);
    expect(policyEntries()[3]).toMatchObject({ data: { code: 'policy.superseded', serial: 2 } });
    expect(release(older, frank).body.code).toBe('policy.not_held');
    release(newer, erin);
    expect(release(newer, frank).body.state).toBe('applied');
    expect(inForce()).toBe(3);
  });

  it('is refused when it is older than what waits, so that holding is no way to roll back', () => {
    site();
    offer(heldBundle(3), 3);
    const older = offer(heldBundle(2), 2);
    expect(older.body.code).toBe('policy.not_newer');
    expect(held()).toMatchObject({ serial: 3 });
    const sameSerial = offer(heldBundle(4), 3);
    expect(sameSerial.body.code).toBe('policy.not_newer');
  });

  it('puts what needs no signature in force, and ends the wait', () => {
    site();
    const waiting = offer(heldBundle(2), 2);
    expect(offer(heldBundle(1), 3).body).toMatchObject({ applied: true, forget: [waiting.update_id] });
    expect(types()).toEqual(['applied', 'held', 'lapsed', 'applied']);
    expect(inForce()).toBe(3);
  });

  it('that is the same, signed anew, keeps its signatures, its time and its name', () => {
    site();
    const first = offer(heldBundle(2), 2, { expires_at: new Date(START + 3 * HOUR).toISOString() });
    release(first, erin);
    fixture.clock.pass(HOUR);
    const again = offer(heldBundle(2), 2, { again: 'later timestamp' });
    expect(again.body).toMatchObject({
      held: true,
      forget: [first.update_id],
      hold: {
        id: first.update_id,
        update_id: again.update_id,
        wait_until: (first.body.hold as JsonObject).wait_until ?? null,
        votes: [{ principal: 'erin' }],
      },
    });
    tick(3 * HOUR);
    expect(release(first, frank).body.state).toBe('applied');
    expect(fixture.call('policy.get', { args: { brief: '1' } }).body.update_id).toBe(again.update_id);
  });
});

describe('what waits', () => {
  it('survives a crash, signatures and all', () => {
    site();
    const offered = offer(heldBundle(2), 2);
    release(offered, erin);
    fixture.reopen();
    expect(held()).toMatchObject({ id: offered.update_id, votes: [{ principal: 'erin' }] });
    for (let n = 0; n < 5; n++) tick();
    expect(release(offered, frank).body.state).toBe('applied');
    fixture.reopen();
    expect(inForce()).toBe(2);
    expect(held()).toBeNull();
  });

  it('is shown in status', () => {
    site();
    offer(heldBundle(2), 2);
    expect(fixture.engine.status()).toMatchObject({
      held_update: { serial: 2, missing: [expect.any(String)], wait_until: expect.any(String) },
    });
  });

  it('is made ready in the seconds before it is needed', () => {
    site();
    const offered = offer(heldBundle(2), 2, { effective_at: '2031-03-01T12:00:30Z' });
    release(offered, erin);
    release(offered, frank);
    fixture.reopen();
    fixture.clock.pass(60_000);
    let ticks = 0;
    while (inForce() === 1 && ticks < 100) {
      fixture.engine.tick();
      ticks += 1;
    }
    expect(inForce()).toBe(2);
  });
});
