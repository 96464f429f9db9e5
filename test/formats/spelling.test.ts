import { expect, it } from 'vitest';
import { editDistance, nearest } from '../../daemon/formats/spelling.ts';

it('counts what must be put in, taken out or changed', () => {
  expect(editDistance('schedule', 'schedule')).toBe(0);
  expect(editDistance('shedule', 'schedule')).toBe(1);
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('abc', '')).toBe(3);
});

it('gives up on words of very different length', () => {
  expect(editDistance('a'.repeat(10_000_000), 'b', 2)).toBe(3);
});

it('finds the word that was meant, and none for what is like nothing', () => {
  const known = ['schedule', 'retention', 'anchors'];
  expect(nearest('Anchor', known)).toBe('anchors');
  expect(nearest('shedule', known)).toBe('schedule');
  expect(nearest('zzz', known)).toBeNull();
  expect(nearest('x'.repeat(100_000), known)).toBeNull();
});
