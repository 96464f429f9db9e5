import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

const open: EngineFixture[] = [];

function site(): EngineFixture {
  const fixture = new EngineFixture(testBundle());
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const replay = (fixture: EngineFixture, id: unknown) =>
  fixture.call('decisions.replay', { args: { id: String(id) } });

describe('a replay', () => {
  test.each([
    ['allowed', ask('read_telemetry', 'sensor:t-1'), 'allow'],
    ['escalated', ask('install_firmware', 'device:d-1'), 'escalate'],
    ['denied', ask('wipe_storage', 'disk:a'), 'deny'],
    ['with a sealed value', ask('set_pin', 'door:d-1', { payload: { pin: '1234' } }), 'allow'],
    ['without a class', ask('launch_rocket', 'rocket:r', { payload: { code: '1' } }), 'deny'],
  ])('of a decision that was %s gives the same verdict', (_, request, result) => {
    const fixture = site();
    const { body } = fixture.call('decisions.create', { json: request });
    const before = fixture.call('ledger.entries').body.size;
    expect(replay(fixture, body.decision_id)).toMatchObject({
      status: 200,
      body: { differences: [], recorded: { result }, replayed: { result }, policy_version: 'engine-test@1' },
    });
    expect(fixture.call('ledger.entries').body.size).toBe(before);
  });

  test('uses the bundle that the decision is pinned to, not the one in force', () => {
    const fixture = site();
    const { body } = fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') });
    const next = testBundle();
    next.metadata.version = 2;
    if (next.actions.read_telemetry !== undefined) next.actions.read_telemetry.base_risk = 0.9;
    fixture.apply(next, 2);
    expect(replay(fixture, body.decision_id).body).toMatchObject({
      differences: [],
      policy_version: 'engine-test@1',
    });
  });

  test('is refused without the decision, or without its bundle', () => {
    const fixture = site();
    const { body } = fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') });
    expect(replay(fixture, 'dec_00000000-0000-7000-8000-000000000000')).toMatchObject({
      status: 404,
      body: { code: 'decision.not_found' },
    });
    rmSync(join(fixture.paths.policy, 'bundles', `${body.policy_digest}.json`));
    fixture.reopen();
    expect(replay(fixture, body.decision_id)).toMatchObject({
      status: 422,
      body: { code: 'policy.defective' },
    });
  });
});

describe('the history of policy', () => {
  test('holds what was applied and refused, oldest first', () => {
    const fixture = site();
    const next = testBundle();
    next.metadata.version = 2;
    fixture.apply(next, 2);
    fixture.call('policy.refuse', {
      json: { source: 'stick', who: 'olga', code: 'update.expired', reason: 'Old.' },
    });
    const types = (limit?: string) => {
      const { body } = fixture.call('policy.history', { args: limit === undefined ? {} : { limit } });
      return [body.total, ...(body.entries as { entry: { type: string } }[]).map(({ entry }) => entry.type)];
    };
    expect(types()).toEqual([3, 'policy.applied', 'policy.applied', 'policy.refused']);
    expect(types('1')).toEqual([3, 'policy.refused']);
  });
});
