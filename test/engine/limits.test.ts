import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { alice, ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

let site: EngineFixture;
afterEach(() => site.close());

function open(limits: NonNullable<Bundle['limits']>): void {
  const bundle = testBundle({ limits });
  bundle.principals['agent:ops-2'] = { kind: 'agent', roles: ['agent'], status: 'active', owner: 'olga' };
  site = new EngineFixture(bundle);
}
const request = (actor = 'agent:ops-1', what = 'read_telemetry', target = 'sensor:one') =>
  ask(what, target, { context: { actor: { id: actor, role: 'agent' } } });
const read = (actor?: string, key: string | null = null) =>
  site.call('decisions.create', { json: request(actor), key });
const restart = (actor?: string) =>
  site.call('decisions.create', { json: request(actor, 'restart_service', 'service:relay') });
const anomalies = () => site.call('anomalies.list').body.anomalies as JsonObject[];
const size = () => (site.call('status.get').body.ledger as { size: number }).size;

describe('requests per second', () => {
  test('are those of one actor, and a second later there are more', () => {
    open({ requests_per_second: 3 });
    expect([1, 2, 3].map(() => read().status)).toEqual([200, 200, 200]);
    expect(read()).toMatchObject({ status: 429, body: { code: 'limits.too_many_requests' } });
    expect(read('agent:ops-2').status).toBe(200);
    site.clock.pass(334);
    expect([read().status, read().status]).toEqual([200, 429]);
    site.clock.pass(60_000);
    expect([1, 2, 3, 4].map(() => read().status)).toEqual([200, 200, 200, 429]);
  });

  test('beyond the limit fill no ledger: one entry an hour says that there were some', () => {
    open({ requests_per_second: 1 });
    read();
    const before = size();
    for (let n = 0; n < 20; n++) expect(read().status).toBe(429);
    expect(size()).toBe(before + 1);
    expect(anomalies()).toMatchObject([
      { rule: 'limits.requests_per_second', principal: 'agent:ops-1', effect: 'reject' },
    ]);
    site.clock.pass(60 * 60_000);
    read();
    read();
    expect(anomalies()).toHaveLength(2);
  });

  test('by invented names share one measure', () => {
    open({ requests_per_second: 2 });
    const names = Array.from({ length: 5 }, (_, n) => `agent:invented-${n}`);
    expect(names.map((name) => read(name).status)).toEqual([200, 200, 429, 429, 429]);
    expect(anomalies()).toMatchObject([{ principal: null }]);
    expect(read().status).toBe(200);
  });

  test('do not stand in the way of an answer that was given before', () => {
    open({ requests_per_second: 1 });
    const first = read('agent:ops-1', 'again').body;
    expect(read().status).toBe(429);
    expect(read('agent:ops-1', 'again').body).toMatchObject({ decision_id: first.decision_id });
  });

  test('are not measured by the wall clock', () => {
    open({ requests_per_second: 1 });
    read();
    site.clock.wall += 10_000;
    expect(read().status).toBe(429);
  });
});

describe('decisions that wait', () => {
  test('are so many for one actor; what needs nobody goes on', () => {
    open({ pending_per_actor: 2 });
    expect([restart().status, restart().status]).toEqual([202, 202]);
    const before = size();
    expect(restart()).toMatchObject({ status: 429, body: { code: 'limits.too_many_pending' } });
    expect(restart().status).toBe(429);
    expect(size()).toBe(before + 1);
    expect(anomalies()).toMatchObject([{ rule: 'limits.pending_per_actor', principal: 'agent:ops-1' }]);
    expect(read().status).toBe(200);
    expect(restart('agent:ops-2').status).toBe(202);
  });

  test.each<[string, (decision: JsonObject) => void]>([
    [
      'approved',
      (decision) => {
        const args = { id: String(decision.decision_id) };
        site.call('decisions.approve', { args, json: site.sign(alice, decision) });
      },
    ],
    [
      'rejected',
      (decision) => {
        const args = { id: String(decision.decision_id) };
        site.call('decisions.approve', { args, json: site.sign(alice, decision, { answer: 'reject' }) });
      },
    ],
    [
      'cancelled',
      (decision) => {
        const args = { id: String(decision.decision_id) };
        site.call('decisions.cancel', { args, json: { actor: { id: 'agent:ops-1' }, reason: 'not now' } });
      },
    ],
    [
      'expired',
      () => {
        site.clock.pass(60 * 60_000);
        site.engine.tick();
      },
    ],
  ])('make room when one is %s', (_how, settle) => {
    open({ pending_per_actor: 1 });
    const { body } = restart();
    expect(restart().status).toBe(429);
    settle(body);
    expect(restart().status).toBe(202);
    expect(restart().status).toBe(429);
  });

  test('are counted again after a restart', () => {
    open({ pending_per_actor: 2 });
    restart();
    restart();
    site.reopen();
    expect(restart().status).toBe(429);
    expect(restart('agent:ops-2').status).toBe(202);
  });
});
