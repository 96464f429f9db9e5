import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { RestWatch } from '../../daemon/host/memory.ts';

const MODULE = new URL('../../daemon/host/memory.ts', import.meta.url).href;

describe('memory that is not needed any more', () => {
  it('goes back to the system, in a thread as in the process, and no code sees the collector', () => {
    const script = `
      import { shedMemory } from ${JSON.stringify(MODULE)};
      import { getHeapStatistics } from 'node:v8';
      import { runInNewContext } from 'node:vm';
      import { isMainThread, Worker } from 'node:worker_threads';
      let lists = Array.from({ length: 300_000 }, (_, at) => [at]);
      const before = getHeapStatistics().total_physical_size;
      lists = [];
      shedMemory();
      const after = getHeapStatistics().total_physical_size;
      console.log(JSON.stringify({ less: before - after > 5_000_000, gc: runInNewContext('typeof gc'), own: typeof gc }));
      if (isMainThread) new Worker(new URL(import.meta.url));
    `;
    const url = `data:text/javascript,${encodeURIComponent(script)}`;
    const out = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', `await import(${JSON.stringify(url)})`],
      { encoding: 'utf8' },
    );
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    const expected = { less: true, gc: 'undefined', own: 'undefined' };
    expect(lines).toEqual([expected, expected]);
  });

  it('is looked for once a thread rests after work', () => {
    const watch = new RestWatch();
    const looks = [5_000, 8_000, 10, 10, 10, 10, 10, 10].map((active) => watch.isDue(active, 10_000));
    expect(looks).toEqual([false, false, false, false, true, false, false, false]);
  });

  it('is not looked for where there was no work, or while there is some', () => {
    const idle = new RestWatch();
    expect(Array.from({ length: 20 }, () => idle.isDue(10, 10_000))).not.toContain(true);
    const busy = new RestWatch();
    expect(Array.from({ length: 20 }, (_, at) => busy.isDue(at % 3 === 2 ? 900 : 10, 10_000))).not.toContain(
      true,
    );
  });
});
