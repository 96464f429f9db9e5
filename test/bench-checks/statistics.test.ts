import { describe, expect, it } from 'vitest';
import { type Figure, judge } from '../bench/report.ts';
import { median, percentile } from '../bench/statistics.ts';

describe('statistics', () => {
  it('take the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([10, 9])).toBe(9.5);
    expect(median([])).toBeNaN();
  });

  it('take the nearest rank', () => {
    const hundred = Float64Array.from({ length: 100 }, (_, at) => at + 1);
    expect(percentile(hundred, 99)).toBe(99);
    expect(percentile(hundred, 50)).toBe(50);
    expect(percentile(Float64Array.of(7), 99)).toBe(7);
    expect(percentile(new Float64Array(), 50)).toBeNaN();
  });
});

describe('judge', () => {
  const figure: Figure = { name: 'rate', unit: '/s', ours: 30, with: { name: 'other', value: 10 } };

  it('compares with what was measured beside', () => {
    const [least, most, below] = judge([
      { ...figure, goal: { of: 'ratio', at: 'least', value: 3 } },
      { ...figure, goal: { of: 'ratio', at: 'most', value: 2.9 } },
      { ...figure, goal: { of: 'ratio', at: 'below', value: 3 } },
    ]);
    expect([least?.ratio, least?.met, most?.met, below?.met]).toEqual([3, true, false, false]);
  });

  it('says nothing about what was not measured', () => {
    const goal = { of: 'ratio', at: 'least', value: 2 } as const;
    const [missing] = judge([{ ...figure, with: { name: 'other', value: null }, goal }]);
    expect(missing).toMatchObject({ ratio: null, met: null });
  });

  it('holds a figure of ours alone against its own goal', () => {
    const alone = {
      name: 'start',
      unit: 'ms',
      ours: 1_200,
      goal: { of: 'ours', at: 'most', value: 1_000 },
    } as const;
    expect(judge([alone])[0]?.met).toBe(false);
  });
});
