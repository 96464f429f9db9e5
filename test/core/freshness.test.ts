import { describe, expect, it } from 'vitest';
import {
  freshnessSchedule,
  judgeStale,
  type StalePolicy,
  staleOf,
  staler,
  stepAt,
} from '../../daemon/core/freshness.ts';
import { compileSample, FACTS, sampleBundle, sampleRequest } from './sample.ts';

const DAY = 86_400_000;
const ISSUED = Date.parse('2026-01-01T00:00:00Z');

/** A read in staging (risk 0.1, low) or production (0.3, low); a restart is medium or more. */
function judge(freshness: StalePolicy | undefined, action: 'low' | 'high' | 'free-medium') {
  const bundle = compileSample(({ authority, actions }) => {
    authority.routes.push({ id: 'free', classes: ['read'], bands: ['high'], require: [] });
    if (action === 'free-medium' && actions.read !== undefined) actions.read.base_risk = 0.9;
  });
  const request =
    action === 'high'
      ? sampleRequest({ payload: { note: 'it hangs' } }, { environment: 'production' })
      : sampleRequest({ class: 'read', target: { type: 'sensor', id: 'pump-1' }, payload: {} });
  return bundle.evaluate(request, { ...FACTS, ...(freshness === undefined ? {} : { freshness }) });
}

describe('a stale policy', () => {
  it('changes nothing at the lowest risk', () => {
    for (const step of ['escalate', 'deny'] as const)
      expect(judge(step, 'low')).toEqual(judge(undefined, 'low'));
  });

  it('demands approval where none was needed', () => {
    expect(judge(undefined, 'free-medium').result).toBe('allow');
    const stale = judge('escalate', 'free-medium');
    expect(stale.result).toBe('escalate');
    expect(stale.authority.required).toEqual([
      { group: 'stale-policy', roles: ['L3', 'L4'], min_signatures: 1 },
    ]);
    expect(stale.reasons[0]).toBe('Needs 1 approval by L3 or L4 (stale-policy).');
  });

  it('leaves authority that people give as it is', () => {
    expect(judge('escalate', 'high')).toEqual(judge(undefined, 'high'));
    expect(judge('escalate', 'high').result).toBe('escalate');
  });

  it('denies in the end, and says why', () => {
    for (const action of ['high', 'free-medium'] as const) {
      const stale = judge('deny', action);
      expect(stale.result).toBe('deny');
      expect(stale.call).toBeNull();
      expect(stale.gates.at(-1)).toMatchObject({ id: 'policy.freshness', result: 'fail' });
      expect(stale.reasons).toEqual([expect.stringContaining('no news of this policy for longer than 3d')]);
    }
  });

  it('denies at once where no role could approve, and where there is one band only', () => {
    const bundle = sampleBundle();
    bundle.authority.routes = [{ id: 'all', require: [] }];
    expect(judgeStale(bundle, 'escalate', 'medium')).toMatchObject({ id: 'policy.freshness' });
    expect(judgeStale(bundle, 'escalate', 'low')).toBeNull();
    bundle.risk.bands = [{ band: 'low', below: 2 }];
    expect(judgeStale(bundle, 'deny', 'low')).toMatchObject({ id: 'policy.freshness' });
  });

  it('counts a risk that cannot be computed as high', () => {
    expect(judgeStale(sampleBundle(), 'deny', null)).toMatchObject({ id: 'policy.freshness' });
  });
});

describe('the schedule', () => {
  it('counts from the newest signed word of headquarters', () => {
    const alone = freshnessSchedule(sampleBundle(), null);
    expect(alone).toEqual({ warn: ISSUED + DAY, escalate: ISSUED + 2 * DAY, deny: ISSUED + 3 * DAY });
    expect(freshnessSchedule(sampleBundle(), '2025-01-01T00:00:00Z')).toEqual(alone);
    expect(freshnessSchedule(sampleBundle(), '2026-01-11T00:00:00Z').warn).toBe(ISSUED + 11 * DAY);
  });

  it('steps at the very instant', () => {
    const schedule = freshnessSchedule(sampleBundle(), null);
    expect(stepAt(schedule, ISSUED + DAY - 1)).toBe('fresh');
    expect(stepAt(schedule, ISSUED + DAY)).toBe('warn');
    expect(stepAt(schedule, ISSUED + 2 * DAY)).toBe('escalate');
    expect(stepAt(schedule, ISSUED + 3 * DAY)).toBe('deny');
    expect(stepAt(schedule, ISSUED - 365 * DAY)).toBe('fresh');
  });

  it('orders steps and names those that matter', () => {
    expect(staler('warn', 'deny')).toBe('deny');
    expect(staler('escalate', 'fresh')).toBe('escalate');
    expect([staleOf('fresh'), staleOf('warn'), staleOf('escalate')]).toEqual([
      undefined,
      undefined,
      'escalate',
    ]);
  });
});
