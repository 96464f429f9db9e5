import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../daemon/host/config.ts';

const parse = (keys?: object) =>
  parseConfig(
    JSON.stringify({ version: 1, site: 'outpost-7.example', profile: 'node', ...(keys && { keys }) }),
    'x',
  ).keys;

describe('the age of keys in holdfast.json', () => {
  it('is a year, and keys change by hand, unless it says otherwise', () => {
    expect(parse()).toEqual({ ledgerMaxAgeMs: 365 * 86_400_000, schedule: null });
    expect(parse({ ledger_max_age: '30d', schedule: '11 4 * * 1' })).toEqual({
      ledgerMaxAgeMs: 30 * 86_400_000,
      schedule: '11 4 * * 1',
    });
    expect(parse({ ledger_max_age: null, schedule: null })).toEqual({ ledgerMaxAgeMs: null, schedule: null });
  });

  it.each([
    { ledger_max_age: 30 },
    { ledger_max_age: '0d' },
    { ledger_max_age: '1y' },
    { schedule: 'weekly' },
    { schedule: '* * * *' },
    { envelope_max_age: '1d' },
  ])('is refused as %j', (keys) => {
    expect(() => parse(keys)).toThrow(/Nothing was started|known here|holdfast/i);
  });
});
