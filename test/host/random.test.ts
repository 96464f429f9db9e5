import { describe, expect, it } from 'vitest';
import { randomBytes, uuidv7 } from '../../daemon/host/random.ts';

const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

describe('uuidv7', () => {
  // Module state only moves forward, so each test takes its own later time.
  it('carries the milliseconds, version and variant', () => {
    const now = Date.parse('2031-01-01T00:00:00.123Z');
    const id = uuidv7(now);
    expect(id).toMatch(SHAPE);
    expect(timeOf(id)).toBe(now);
  });

  it('sorts in order of making, within a millisecond and when the clock goes back', () => {
    const now = Date.parse('2032-01-01T00:00:00Z');
    const ids = Array.from({ length: 20_000 }, (_, i) => uuidv7(now - (i % 7) * 1_000));
    expect(ids.every((id) => SHAPE.test(id))).toBe(true);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    // 20,000 in one millisecond overflow the counter a few times, and only a few.
    expect(timeOf(ids.at(-1) ?? '') - now).toBeLessThan(20);
  });

  it('fills all other bits with randomness', () => {
    const now = Date.parse('2033-01-01T00:00:00Z');
    const tails = Array.from(
      { length: 2_000 },
      (_, i) =>
        BigInt(
          `0x${uuidv7(now + i)
            .slice(19)
            .replace('-', '')}`,
        ) &
        ((1n << 62n) - 1n),
    );
    for (let bit = 0n; bit < 62n; bit++) {
      const ones = tails.filter((tail) => ((tail >> bit) & 1n) === 1n).length;
      expect(ones).toBeGreaterThan(800);
      expect(ones).toBeLessThan(1_200);
    }
  });
});

describe('randomBytes', () => {
  it('gives as many bytes as asked, different ones each time', () => {
    expect(randomBytes(32)).toHaveLength(32);
    expect(randomBytes(32)).not.toEqual(randomBytes(32));
  });
});
