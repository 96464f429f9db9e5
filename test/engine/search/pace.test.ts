import { describe, expect, it } from 'vitest';
import { BEHIND_MAX, Pace } from '../../../daemon/engine/search/pace.ts';

/** A ledger that grew evenly for a second. */
const grown = (perSecond: number): Pace => {
  const pace = new Pace();
  pace.look(5_000, 0);
  pace.look(5_000 + perSecond, 1_000);
  return pace;
};

describe('the pace of the search index', () => {
  it('is its own while nothing is recorded', () => {
    const pace = grown(0);
    expect(pace.mayFollow(10_000)).toBe(true);
    expect(pace.filed(1_000, 30_000, 9_000)).toBe(0);
  });

  it('leaves nine tenths of a CPU to others while decisions come', () => {
    const pace = grown(600);
    expect(pace.mayFollow(10_000)).toBe(true);
    expect(pace.filed(1_000, 40_000, 9_000)).toBeCloseTo(360);
  });

  it('stands still while decisions are busy, and goes on once they are not', () => {
    const pace = grown(6_000);
    expect(pace.mayFollow(10_000)).toBe(false);
    pace.look(11_000, 2_000);
    expect(pace.mayFollow(10_000)).toBe(true);
    expect(pace.filed(1_000, 30_000, 9_000)).toBe(0);
  });

  it('lacks no more than so many entries, however busy the site is', () => {
    const pace = grown(20_000);
    expect(pace.mayFollow(BEHIND_MAX - 1)).toBe(false);
    expect(pace.mayFollow(BEHIND_MAX)).toBe(true);
    expect(pace.filed(1_000, 40_000, BEHIND_MAX)).toBe(0);
  });

  it('goes by what filing costs on this machine', () => {
    const pace = grown(1_000);
    expect(pace.mayFollow(10_000)).toBe(true);
    for (let step = 0; step < 20; step++) pace.filed(1_000, 200_000, 10_000);
    expect(pace.mayFollow(10_000)).toBe(false);
  });

  it('judges no rate by a moment', () => {
    const pace = new Pace();
    pace.look(0, 0);
    pace.look(1_000, 1);
    expect(pace.mayFollow(10_000)).toBe(true);
  });
});
