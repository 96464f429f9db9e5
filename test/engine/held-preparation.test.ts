import { expect, test } from 'vitest';
import { type HeldData, Holds } from '../../daemon/engine/holds.ts';
import type { Policies } from '../../daemon/engine/policies.ts';
import type { Readiness } from '../../daemon/engine/preparations.ts';
import type { Reading } from '../../daemon/engine/time.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { Entry } from '../../daemon/formats/entry.ts';

const NOW = Date.parse('2026-11-20T12:00:00Z');
const pinned = { name: 'base', version: 2, digest: 'd'.repeat(64), path: 'bundles/base/2.json' };
const held: HeldData = {
  update_id: 'a'.repeat(64),
  source: 'test',
  who: 'operator:ana',
  repository: { root: 1, timestamp: 2, snapshot: 2, targets: 2 },
  site_target: {
    site: 'outpost-7.example',
    serial: 2,
    issued_at: '2026-11-20T00:00:00Z',
    environments: { production: pinned },
  },
  environments: { production: pinned },
  hold: { id: 'a'.repeat(64), demands: [], wait_until: null, effective_at: null, expires_at: null },
  code: 'policy.scheduled',
  reason: '',
  previous: null,
};

/** Policies of which nothing can be read, and each step of preparation says what it is told to. */
function preparing(prepare: (digest: string) => Readiness): Policies {
  return {
    prepare,
    active: () => null,
    anyActive: () => null,
    load: () => {
      throw new BoundaryError('file.missing', 'not here');
    },
  } as unknown as Policies;
}

test('every bundle of the most that a site may have gets its turn', () => {
  const environments = Object.fromEntries(
    Array.from({ length: 64 }, (_, n) => [`e${n}`, { ...pinned, digest: n.toString(16).padStart(64, '0') }]),
  );
  const left = new Map(Object.values(environments).map(({ digest }) => [digest, 3]));
  const policies = preparing((digest) => {
    const steps = (left.get(digest) ?? 0) - 1;
    left.set(digest, Math.max(0, steps));
    return steps > 0 ? 'open' : 'ready';
  });
  const holds = new Holds([]);
  const data = { ...held, environments, site_target: { ...held.site_target, environments } };
  holds.follow(1, { type: 'policy.held', at: '2026-11-20T12:00:00.000Z', data } as unknown as Entry);
  const time = { now: NOW, trust: 'trusted' } as unknown as Reading;
  let ticks = 1;
  while (!holds.due(time, policies) && ticks < 100) ticks++;
  expect(ticks).toBeLessThan(20);
  expect([...left.values()].every((steps) => steps === 0)).toBe(true);
});

test('an update that waits is put in force once every rule is ready, some steps each second', () => {
  const steps: Readiness[] = ['read', ...Array<Readiness>(30).fill('open')];
  const policies = preparing(() => steps.shift() ?? 'ready');
  const holds = new Holds([]);
  holds.follow(1, { type: 'policy.held', at: '2026-11-20T12:00:00.000Z', data: held } as unknown as Entry);
  const time = { now: NOW, trust: 'trusted' } as unknown as Reading;

  expect(holds.due(time, policies)).toBe(false);
  expect(steps.length).toBeGreaterThan(0);
  expect(holds.due(time, policies)).toBe(true);
  expect(steps).toEqual([]);
});
