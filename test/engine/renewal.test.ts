import { afterEach, describe, expect, test } from 'vitest';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, START } from './fixture.ts';

const DAY = 86_400_000;
const open: EngineFixture[] = [];

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** A site whose policy is a day old, and of which every change waits for people. */
function site(): EngineFixture {
  const bundle = testBundle();
  bundle.metadata.issued_at = `${new Date(START - DAY).toISOString().slice(0, 19)}Z`;
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

const entries = (fixture: EngineFixture): Entry[] =>
  (fixture.call('ledger.entries').body.entries as unknown as { entry: Entry }[]).map(({ entry }) => entry);

const steps = (fixture: EngineFixture): string[] =>
  entries(fixture)
    .filter(({ type }) => type === 'policy.degraded')
    .map(({ data }) => `${data.environment} ${data.step}`);

/** What is in force, signed anew: the same target of the site under other versions of the repository. */
function renew(
  fixture: EngineFixture,
  versions: Partial<Record<string, number>>,
  id = 'a',
): JsonObject & { code?: string } {
  const { data } = entries(fixture).findLast(({ type }) => type === 'policy.applied') ?? { data: {} };
  const { site_target, repository } = data as { site_target: JsonObject; repository: JsonObject };
  return fixture.call('policy.apply', {
    json: {
      update_id: id.repeat(64),
      source: 'test',
      who: 'test',
      repository: { ...repository, ...(versions as JsonObject) },
      site_target,
    },
  }).body;
}

describe('a policy that is signed anew', () => {
  test('is in force under the newer versions, which are remembered across restarts', () => {
    const fixture = site();
    expect(renew(fixture, { root: 2, timestamp: 5 })).toMatchObject({
      applied: true,
      unchanged: true,
      renewed: true,
    });
    for (const reopen of [false, true]) {
      if (reopen) fixture.reopen();
      expect(fixture.call('policy.get').body).toMatchObject({
        update_id: 'a'.repeat(64),
        serial: 1,
        repository: { root: 2, timestamp: 5, snapshot: 1, targets: 1 },
      });
      expect(renew(fixture, { root: 1, timestamp: 9 }, 'b').code).toBe('policy.not_newer');
      expect(renew(fixture, { timestamp: 4 }, 'b').code).toBe('policy.not_newer');
    }
    const count = entries(fixture).length;
    expect(renew(fixture, {}, 'b')).toEqual({ applied: true, unchanged: true });
    expect(entries(fixture).length).toBe(count);
    expect(fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') }).body.status).toBe(
      'authorized',
    );
  });

  test('is no news: it is as old as it was, on record once, also after a restart', () => {
    const fixture = site();
    fixture.clock.pass(31 * DAY);
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production warn', 'staging warn']);
    renew(fixture, { timestamp: 5 });
    fixture.engine.tick();
    fixture.reopen();
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production warn', 'staging warn']);
  });

  test('is no news to a site that does not know the time, either', () => {
    const fixture = site();
    fixture.clock.pass(200 * DAY);
    fixture.engine.tick();
    expect(steps(fixture)).toContain('production deny');
    renew(fixture, { timestamp: 5 });
    fixture.clock.wall -= 199 * DAY;
    fixture.engine.tick();
    fixture.engine.tick();
    fixture.engine.syncHead();
    fixture.reopen();
    fixture.engine.tick();
    const { policy } = fixture.call('status.get').body as unknown as {
      policy: { environments: { freshness: { step: string } }[] };
    };
    expect(policy.environments.map(({ freshness }) => freshness.step)).toEqual(['deny', 'deny']);
  });

  test('forgets what only renewed it before, and never what put it in force', () => {
    const fixture = site();
    expect(renew(fixture, { timestamp: 5 }, 'a').forget).toEqual([]);
    expect(renew(fixture, { timestamp: 6 }, 'b').forget).toEqual(['a'.repeat(64)]);
  });
});
