import { Registry } from '@prometheus-io/client';
import { expect, it } from 'vitest';
import { measureHeld } from '../../daemon/api/policy-metrics.ts';
import type { EngineHandle } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';

/** What `/metrics` says while the engine answers so; null: it does not answer. */
async function valuesWith(held: JsonObject | null | 'gone'): Promise<Record<string, number>> {
  const engine = {
    call: async ({ method }: { method: string }) => {
      if (held === 'gone') throw new Error('gone');
      return method === 'policy.held'
        ? { status: 200, body: JSON.stringify({ held }) }
        : { status: 500, body: '{}' };
    },
  } as unknown as EngineHandle;
  const registry = new Registry();
  measureHeld(registry, engine);
  const lines = (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line !== '');
  return Object.fromEntries(
    lines.map((line) => [
      line.split(' ')[0]?.replace('holdfast_policy_held', '') ?? '',
      Number(line.split(' ')[1]),
    ]),
  );
}

const HELD = {
  since: '2031-03-01T12:00:00.000Z',
  missing: ['2 signatures by L4'],
  wait_until: '2031-03-02T12:00:00.000Z',
  effective_at: null,
  expires_at: '2031-03-09T12:00:00.000Z',
};
const seconds = (instant: string) => Date.parse(instant) / 1_000;

it('measures what waits, and until when', async () => {
  expect(await valuesWith(HELD)).toEqual({
    '': 1,
    _unsigned: 1,
    _since_seconds: seconds(HELD.since),
    _until_seconds: seconds(HELD.wait_until),
  });
});

it('counts people’s time only while people are awaited', async () => {
  expect(await valuesWith({ ...HELD, missing: [] })).toMatchObject({
    _unsigned: 0,
    _until_seconds: seconds(HELD.expires_at),
  });
});

it('says 0 when nothing waits, or nobody can say', async () => {
  const nothing = { '': 0, _unsigned: 0, _since_seconds: 0, _until_seconds: 0 };
  expect(await valuesWith(null)).toEqual(nothing);
  expect(await valuesWith('gone')).toEqual(nothing);
});
