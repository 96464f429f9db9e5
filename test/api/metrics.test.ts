import { expect, test } from 'vitest';
import { measureHealth } from '../../daemon/api/health-metrics.ts';
import { Metrics } from '../../daemon/api/metrics.ts';
import { COMPONENTS } from '../../daemon/core/component.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { exchange, openStream } from './exchange.ts';
import { FakeEngine, json } from './fake-engine.ts';
import { serve } from './serving.ts';

/** The value of one series; null when it is not there. */
function series(text: string, name: string): number | null {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? null : Number(line.slice(name.length + 1));
}

test('requests are counted by method and status, over HTTP and on the stream', async () => {
  await using serving = await serve();
  serving.engine.script = (call) =>
    call.method === 'policy.get' ? json(409, { code: 'policy.none' }) : undefined;
  await exchange(serving.path, '/v1/decisions', { body: {} });
  await exchange(serving.path, '/v1/decisions', { body: { acton: 1 } });
  await exchange(serving.path, '/v1/nothing');
  const stream = await openStream(serving.path);
  stream.send({ id: 1, method: 'decisions.create', params: {} });
  stream.send({ id: 2, method: 'policy.get' });
  await stream.take(2);
  const reply = await exchange(serving.path, '/metrics');
  expect(reply.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const total = (method: string, status: number) =>
    series(reply.text, `holdfast_requests_total{socket="operator",method="${method}",status="${status}"}`);
  expect(total('decisions.create', 200)).toBe(2);
  expect(total('decisions.create', 400)).toBe(1);
  expect(total('none', 404)).toBe(1);
  expect(total('policy.get', 409)).toBe(1);
  expect(
    series(reply.text, 'holdfast_request_seconds_count{socket="operator",method="decisions.create"}'),
  ).toBe(3);
  expect(series(reply.text, 'holdfast_requests_in_flight{socket="operator"}')).toBe(1);
});

test('paths that strangers invent make no new series', async () => {
  await using serving = await serve();
  for (let n = 0; n < 50; n += 1) await exchange(serving.path, `/v1/x${n}`);
  const { body } = await serving.metrics.text();
  expect(body.split('\n').filter((line) => line.startsWith('holdfast_requests_total{'))).toHaveLength(1);
});

test('the ledger’s growth is followed', async () => {
  const engine = new FakeEngine();
  const metrics = new Metrics();
  const stop = metrics.followLedger(engine);
  expect(series((await metrics.text()).body, 'holdfast_ledger_entries')).toBe(0);
  for (let n = 0; n < 3; n += 1) engine.commit('system');
  expect(series((await metrics.text()).body, 'holdfast_ledger_entries')).toBe(3);
  stop();
  expect(engine.listeners).toBe(0);
});

test('health is told as status tells it, and silence as not ready', async () => {
  const metrics = new Metrics();
  let status: JsonObject | null = {
    ready: false,
    degraded: [{ component: 'disk' }, { component: 'incident' }, { component: 'siem' }],
    incidents: { open: 2, site_halted: true },
    disk: { free_bytes: 5_000, held_bytes: 300, level: 'low' },
    anomalies: { last_day: 4 },
    decisions: { unknown: 1 },
  };
  measureHealth(metrics.registry, async () => status);
  const { body } = await metrics.text();
  expect(series(body, 'holdfast_ready')).toBe(0);
  expect(series(body, 'holdfast_site_halted')).toBe(1);
  expect(series(body, 'holdfast_incidents_open')).toBe(2);
  expect(series(body, 'holdfast_outcomes_unknown')).toBe(1);
  expect(series(body, 'holdfast_anomalies_last_day')).toBe(4);
  expect(series(body, 'holdfast_disk_free_bytes')).toBe(5_000);
  expect(series(body, 'holdfast_disk_reserve_bytes')).toBe(300);
  for (const component of COMPONENTS)
    expect(series(body, `holdfast_degraded{component="${component}"}`), component).toBe(
      ['disk', 'incident', 'siem'].includes(component) ? 1 : 0,
    );
  status = null;
  const silent = new Metrics();
  measureHealth(silent.registry, async () => status);
  expect(series((await silent.text()).body, 'holdfast_ready')).toBe(0);
});
