import { expect, test } from 'vitest';
import { type HeldData, Holds } from '../../daemon/engine/holds.ts';
import type { Policies, Readiness } from '../../daemon/engine/policies.ts';
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

test('an update that waits is put in force once every rule is ready, some steps each second', () => {
  const steps: Readiness[] = ['read', ...Array<Readiness>(30).fill('open')];
  const policies = {
    prepare: () => steps.shift() ?? 'ready',
    active: () => null,
    anyActive: () => null,
    load: () => {
      throw new BoundaryError('file.missing', 'not here');
    },
  } as unknown as Policies;
  const holds = new Holds([]);
  holds.follow(1, { type: 'policy.held', at: '2026-11-20T12:00:00.000Z', data: held } as unknown as Entry);
  const time = { now: NOW, trust: 'trusted' } as unknown as Reading;

  expect(holds.due(time, policies)).toBe(false);
  expect(steps.length).toBeGreaterThan(0);
  expect(holds.due(time, policies)).toBe(true);
  expect(steps).toEqual([]);
});
