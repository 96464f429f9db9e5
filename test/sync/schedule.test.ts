import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoffMs, checkSchedule, runScheduled } from '../../sync/schedule.ts';

const log = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
const MINUTE = 60_000;

describe('back-off', () => {
  it('doubles up to the cap, and half of it is random', () => {
    const waits = [1, 2, 3, 4, 9].map((n) => backoffMs(n, { baseMs: 1_000, capMs: 10_000 }, 0));
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 5_000]);
    fc.assert(
      fc.property(fc.integer({ min: 1 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, random) => {
        const wait = backoffMs(n, { baseMs: 1_000, capMs: 10_000 }, random);
        expect(wait).toBeGreaterThanOrEqual(500);
        expect(wait).toBeLessThanOrEqual(10_000);
      }),
    );
  });
});

describe('a schedule', () => {
  it.each(['99 * * * *', 'x y z a b', '* * *'])('is refused when it is none: %s', (text) => {
    expect(() => checkSchedule(text)).toThrow(expect.objectContaining({ code: 'config.wrong_value' }));
  });
  it('is taken when it is one', () => checkSchedule('17 */2 * * 1-5'));
});

describe('rounds', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse('2026-11-20T12:00:30Z') });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function start(results: boolean[], jitterMs = 0) {
    const stop = new AbortController();
    const at: number[] = [];
    const began = Date.now();
    const round = async () => {
      at.push(Date.now() - began);
      return results.shift() ?? true;
    };
    const options = { schedule: '*/10 * * * *', jitterMs, round, log, random: () => 0.5 };
    const ended = runScheduled({ ...options, backoff: { baseMs: MINUTE, capMs: 4 * MINUTE } }, stop.signal);
    const end = (): Promise<void> => {
      stop.abort();
      return ended;
    };
    return { at, end };
  }

  it('come at the start, then by cron, each later by its jitter', async () => {
    const { at, end } = start([], 2 * MINUTE);
    await vi.advanceTimersByTimeAsync(25 * MINUTE);
    await end();
    expect(at.map((ms) => Math.round(ms / 1_000))).toEqual([60, 570 + 60, 1_170 + 60]);
  });

  it('come by back-off alone after failures, whatever cron says, until one succeeds', async () => {
    const { at, end } = start([false, false, false, false, false, true]);
    await vi.advanceTimersByTimeAsync(21 * MINUTE);
    await end();
    const waits = at.slice(1, 6).map((ms, i) => Math.round((ms - (at[i] ?? 0)) / 1_000));
    expect(waits).toEqual([45, 90, 180, 180, 180]);
    expect(Math.round((at[6] ?? 0) / 1_000)).toBe(1_170);
  });

  it('end while they wait', async () => {
    const { at, end } = start([]);
    await vi.advanceTimersByTimeAsync(1_000);
    await end();
    await vi.advanceTimersByTimeAsync(60 * MINUTE);
    expect(at).toHaveLength(1);
  });
});
