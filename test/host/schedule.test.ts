import { afterEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../daemon/host/log.ts';
import { runBySchedule } from '../../daemon/host/schedule.ts';

const log = createLogger('daemon', 'silent', {});

describe('a schedule', () => {
  afterEach(() => vi.useRealTimers());

  it('that is none is named, with what to write', async () => {
    await expect(runBySchedule('61 * * * *', '/watch/canary', async () => {}, log)).rejects.toThrow(
      /\/watch\/canary is not a schedule.*23 \* \* \* \*/,
    );
  });

  it('runs its task once at a time, outlives its failures, and ends', async () => {
    vi.useFakeTimers({ now: Date.parse('2031-03-01T00:00:30Z') });
    let runs = 0;
    let finish: () => void = () => {};
    const end = await runBySchedule(
      '* * * * *',
      '/x',
      () => {
        runs++;
        if (runs === 1) return Promise.reject(new Error('the first fails'));
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
      log,
    );
    await vi.advanceTimersByTimeAsync(60_000);
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(120_000);
    // The second is still under way when the third is due.
    expect(runs).toBe(2);
    const ended = end();
    finish();
    await ended;
    await vi.advanceTimersByTimeAsync(300_000);
    expect(runs).toBe(2);
  });
});
