import { afterEach, describe, expect, test } from 'vitest';
import { compileBundle } from '../../daemon/core/compile.ts';
import { differences, isDecisionEntry, replayDecision } from '../../daemon/core/replay.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, START } from './fixture.ts';

const DAY = 86_400_000;
const open: EngineFixture[] = [];

/** A site whose policy is a day old: it warns at 30, escalates at 90 and denies at 180 days. */
function site(bundle = fresh()): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

function fresh(issued = START - DAY, version = 1) {
  const bundle = testBundle();
  bundle.metadata.issued_at = `${new Date(issued).toISOString().slice(0, 19)}Z`;
  bundle.metadata.version = version;
  // A risk above the lowest that needs nobody's approval while the policy is fresh.
  bundle.risk.bands.splice(1, 0, { band: 'noticeable', below: 0.35 });
  bundle.authority.routes.push({ id: 'free', bands: ['noticeable'], require: [] });
  const { set_pin } = bundle.actions;
  if (set_pin !== undefined) set_pin.base_risk = 0.32;
  return bundle;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const risky = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('set_pin', 'door:d-1', { payload: { pin: '1234' } }) }).body;
const harmless = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') }).body;
const entries = (fixture: EngineFixture) =>
  (fixture.call('ledger.entries').body.entries as unknown as { entry: Entry }[]).map(({ entry }) => entry);
/** Steps on record, as `environment step`. */
const steps = (fixture: EngineFixture) =>
  entries(fixture)
    .filter(({ type }) => type === 'policy.degraded')
    .map(({ data }) => `${data.environment} ${data.step}`);

function pass(fixture: EngineFixture, days: number): void {
  fixture.clock.pass(days * DAY);
  fixture.engine.tick();
}

interface Status {
  policy: { environments: { environment: string; freshness: object }[] };
  degraded: { component: string; cause: string; effect: string }[];
}

const status = (fixture: EngineFixture) => fixture.call('status.get').body as unknown as Status;

describe('a policy that ages', () => {
  test('warns, then demands approval for risk, then denies it', () => {
    const fixture = site();
    expect(risky(fixture).status).toBe('authorized');
    pass(fixture, 30);
    expect(risky(fixture).status).toBe('authorized');
    pass(fixture, 60);
    expect(risky(fixture)).toMatchObject({
      status: 'pending_authority',
      authority: { required: [{ group: 'stale-policy' }] },
    });
    pass(fixture, 90);
    expect(risky(fixture)).toMatchObject({
      status: 'denied',
      policy: { gates: [{ id: 'policy.freshness', result: 'fail' }] },
    });
    expect(harmless(fixture).status).toBe('authorized');
  });

  test('records each step once, restarts or not', () => {
    const fixture = site();
    fixture.engine.tick();
    expect(steps(fixture)).toEqual([]);
    pass(fixture, 30);
    fixture.engine.tick();
    fixture.reopen();
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production warn', 'staging warn']);
    pass(fixture, 61);
    expect(steps(fixture).slice(2)).toEqual(['production escalate', 'staging escalate']);
    const entry = entries(fixture).findLast(({ type }) => type === 'policy.degraded');
    expect(entry).toMatchObject({
      stream: 'policy',
      data: { step: 'escalate', previous: 'warn', policy: { version: 'engine-test@1' } },
    });
  });

  test('is judged as stale right after a restart, before any tick', () => {
    const fixture = site();
    fixture.engine.close();
    fixture.clock.pass(200 * DAY);
    fixture.engine = fixture.open();
    expect(risky(fixture).status).toBe('denied');
  });

  test('is fresh again with news, and an old one is stale from the start', () => {
    const fixture = site();
    pass(fixture, 200);
    expect(risky(fixture).status).toBe('denied');
    expect(fixture.apply(fresh(fixture.clock.now() - DAY, 2), 2).status).toBe(200);
    expect(risky(fixture).status).toBe('authorized');
    fixture.reopen();
    fixture.engine.tick();
    expect(risky(fixture).status).toBe('authorized');
    expect(fixture.apply(fresh(fixture.clock.now() - 100 * DAY, 3), 3).status).toBe(200);
    expect(risky(fixture).status).toBe('pending_authority');
  });

  test('shows the countdown', () => {
    const fixture = site();
    const iso = (ms: number) => new Date(ms).toISOString();
    expect(status(fixture).policy.environments[0]?.freshness).toEqual({
      step: 'fresh',
      news_at: iso(START - DAY),
      next: { step: 'warn', at: iso(START + 29 * DAY) },
    });
    expect(status(fixture).degraded).toEqual([]);
    pass(fixture, 100);
    const { policy, degraded } = status(fixture);
    expect(policy.environments[0]?.freshness).toMatchObject({ step: 'escalate', next: { step: 'deny' } });
    expect(degraded[0]).toMatchObject({
      component: 'policy',
      cause: expect.stringContaining('production from headquarters for 101 days (escalate)'),
      effect: expect.stringContaining('Next: deny'),
    });
  });

  test('leaves what is needed for replay in the entry', () => {
    const bundle = fresh();
    const fixture = site(bundle);
    const digest = String(harmless(fixture).policy_digest);
    const compiled = compileBundle(bundle, digest);
    for (const days of [0, 90, 90]) {
      pass(fixture, days);
      risky(fixture);
      harmless(fixture);
    }
    const decisions = entries(fixture).filter(isDecisionEntry);
    expect(decisions.map(({ data }) => data.freshness)).toContain('escalate');
    for (const entry of decisions) {
      const { recorded, replayed } = replayDecision(entry, compiled);
      expect(differences(recorded, replayed)).toEqual([]);
    }
  });
});

describe('a clock that cannot be believed', () => {
  test('never makes a policy fresh again', () => {
    const fixture = site();
    pass(fixture, 100);
    fixture.clock.wall -= 99 * DAY;
    fixture.engine.tick();
    fixture.engine.tick();
    expect(risky(fixture).time_trust).toBe('uncertain');
    expect(status(fixture).policy.environments[0]?.freshness).toMatchObject({ step: 'escalate' });
    fixture.engine.syncHead();
    fixture.reopen();
    fixture.engine.tick();
    expect(status(fixture).policy.environments[0]?.freshness).toMatchObject({ step: 'escalate' });
    expect(steps(fixture).filter((step) => step.endsWith('fresh'))).toEqual([]);
  });

  test('goes on aging by what the time is at least', () => {
    const fixture = site();
    fixture.clock.wall -= 365 * DAY;
    fixture.engine.tick();
    expect(status(fixture).policy.environments[0]?.freshness).toMatchObject({ step: 'fresh' });
    pass(fixture, 100);
    expect(status(fixture).policy.environments[0]?.freshness).toMatchObject({ step: 'escalate' });
  });

  test('that jumps ahead ages nothing', () => {
    const fixture = site();
    fixture.clock.wall += 365 * DAY;
    fixture.engine.tick();
    fixture.engine.tick();
    expect(steps(fixture)).toEqual([]);
    expect(status(fixture).policy.environments[0]?.freshness).toMatchObject({ step: 'fresh' });
  });

  test('that ran ahead over a restart and was corrected is forgiven', () => {
    const fixture = site();
    fixture.engine.close();
    fixture.clock.boots(fixture.clock.wall + 365 * DAY);
    fixture.engine = fixture.open();
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production deny', 'staging deny']);
    fixture.engine.close();
    fixture.clock.boots(fixture.clock.wall - 365 * DAY);
    fixture.engine = fixture.open();
    fixture.engine.tick();
    expect(steps(fixture).slice(2)).toEqual(['production fresh', 'staging fresh']);
    expect(risky(fixture).status).toBe('authorized');
  });
});
