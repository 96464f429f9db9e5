import { describe, expect, it } from 'vitest';
import { parseNow } from '../../daemon/commands/time.ts';

describe('the time on the command line', () => {
  it.each([
    ['2026-11-21 14:05:30', '2026-11-21T14:05:30'],
    ['2026-11-21T14:05:30Z', '2026-11-21T14:05:30'],
    [' 2026-11-21 14:05 UTC ', '2026-11-21T14:05:00'],
    ['2028-02-29 23:59:59', '2028-02-29T23:59:59'],
  ])('%s is read as UTC, and goes on', (text, iso) => {
    const now = parseNow(text);
    const first = now();
    expect(Math.floor((first - Date.parse(`${iso}Z`)) / 1_000)).toBeLessThan(60);
    expect(first).toBeGreaterThanOrEqual(Date.parse(`${iso}Z`));
    expect(now()).toBeGreaterThanOrEqual(first);
  });

  it('"clock" is the clock of this machine', () => {
    const before = Date.now();
    expect(parseNow('clock')()).toBeGreaterThanOrEqual(before);
  });

  it.each([
    'now',
    '14:05',
    '2026-02-30 12:00:00',
    '2026-11-21 25:00:00',
    '2026-11-21 14:05:30 CET',
    '2026-11-21 14:05:30+01:00',
    '21.11.2026 14:05',
    '',
  ])('%j is refused', (text) => {
    expect(() => parseNow(text)).toThrow(expect.objectContaining({ code: 'time.malformed' }));
  });
});
