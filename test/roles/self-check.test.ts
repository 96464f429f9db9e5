import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLogger } from '../../daemon/host/log.ts';
import type { ServiceManager } from '../../daemon/host/notify.ts';
import { type Fitness, superviseBy } from '../../daemon/roles/self-check.ts';

const log = createLogger('daemon', 'silent');
const WELL: Fitness = { trouble: null, status: 'deciding' };

function manager(watchdogMs: number | null): ServiceManager & { said: string[] } {
  const said: string[] = [];
  return {
    said,
    watchdogMs,
    ready: async (status) => said.push(`ready: ${status}`) > 0,
    status: (text) => void said.push(text),
    alive: () => void said.push('alive'),
    stopping: () => void said.push('stopping'),
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a supervised process', () => {
  test('gives two signs of life in each period, each after a check, and none after its end', async () => {
    const to = manager(10_000);
    let checks = 0;
    const end = await superviseBy(
      to,
      async () => {
        checks += 1;
        return WELL;
      },
      log,
    );
    expect(to.said).toEqual(['ready: deciding', 'alive']);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(to.said.slice(2)).toEqual(['deciding', 'alive', 'deciding', 'alive']);
    expect(checks).toBe(3);
    end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(to.said.slice(6)).toEqual(['stopping']);
  });

  test.each([
    ['finds trouble', async () => ({ trouble: 'the ledger shrank', status: 'not well: the ledger shrank' })],
    ['fails', async () => Promise.reject(new Error('the ledger shrank'))],
  ])('gives no sign of life while its check %s, and says why', async (_how, broken) => {
    const to = manager(10_000);
    let check: () => Promise<Fitness> = async () => WELL;
    await superviseBy(to, () => check(), log);
    check = broken;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(to.said.slice(2)).toEqual(Array(4).fill('not well: the ledger shrank'));
    check = async () => WELL;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(to.said.slice(6)).toEqual(['deciding', 'alive']);
  });

  test('gives no sign of life while its check hangs', async () => {
    const to = manager(10_000);
    let hung = false;
    await superviseBy(to, () => (hung ? new Promise(() => {}) : Promise.resolve(WELL)), log);
    hung = true;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(to.said.slice(2).length).toBeGreaterThan(0);
    expect(to.said.slice(2).filter((word) => !word.includes('was not over within'))).toEqual([]);
  });

  test('is not ready before a check ended well', async () => {
    const to = manager(10_000);
    let check: Fitness = { trouble: 'not yet', status: 'not well: not yet' };
    await superviseBy(to, async () => check, log);
    expect(to.said).toEqual(['not well: not yet']);
    check = WELL;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(to.said.slice(1)).toEqual(['ready: deciding', 'alive']);
  });
});
