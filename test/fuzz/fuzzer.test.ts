import { beforeAll, describe, expect, it } from 'vitest';
import { campaign } from './campaign.ts';
import { type Finding, fuzz } from './fuzzer.ts';
import { type Group, load } from './table.ts';
import type { Target } from './target.ts';

/* The fuzzer itself, against readers whose bugs are known. */

const NAMES = ['throws', 'behind-three-steps', 'prints-otherwise', 'burns', 'hangs', 'grows'];
const PLANTED: Group = { names: NAMES, module: new URL('./planted.ts', import.meta.url).href };
let planted: Target[];
beforeAll(async () => {
  planted = await load(PLANTED);
});

async function findings(name: string, runs: number): Promise<Finding[]> {
  const target = planted.find((one) => one.name === name);
  if (target === undefined) throw new Error(name);
  const found: Finding[] = [];
  const goOn = (done: number) => done < runs && found.length === 0;
  await fuzz(target, { seed: 1, goOn, before: () => {}, found: (one) => found.push(one) });
  return found;
}

describe('the fuzzer', () => {
  it('finds an error that is no refusal, and makes the input small', async () => {
    const [{ what, input } = { what: '', input: Buffer.alloc(99) }] = await findings('throws', 5_000);
    expect(what).toMatch(/throws TypeError: Cannot read propert/);
    expect(input.length).toBeLessThan(10);
  });

  it('gets further by what was refused at a new place', async () => {
    expect((await findings('behind-three-steps', 300_000))[0]?.what).toMatch(/throws TypeError: found/);
  });

  it('finds what is printed otherwise than it was read', async () => {
    expect((await findings('prints-otherwise', 5_000))[0]?.what).toBe(
      'reads something else from what it printed',
    );
  });

  it('finds what takes too long', async () => {
    expect((await findings('burns', 5_000))[0]?.what).toBe('takes more than 50 ms of CPU time');
  });

  it('says the same of the same seed', async () => {
    expect(await findings('throws', 5_000)).toEqual(await findings('throws', 5_000));
  });
});

describe('a campaign', () => {
  it('ends readers that do not end, and those that take all memory, and goes on', async () => {
    const found = await campaign({
      seconds: 6,
      seed: 3,
      only: ['hangs', 'grows', 'throws'],
      groups: { planted: PLANTED },
      hangMs: 10_000,
    });
    const told = found.map(({ target, what }) => `${target} ${what.slice(0, 16)}`);
    expect(told).toContain('hangs does not end');
    expect(told.some((one) => /^grows (runs out of mem|does not end)/.test(one))).toBe(true);
    expect(told).toContain('throws throws TypeError');
    expect(found.find(({ target }) => target === 'hangs')?.input.length).toBeGreaterThan(5);
  }, 120_000);

  it('refuses to fuzz nothing', async () => {
    await expect(campaign({ seconds: 1, seed: 1, only: ['no-such'] })).rejects.toThrow('no such target');
  });
});
