import { expect, test } from 'vitest';
import { parseConfig } from '../../../daemon/host/config.ts';

const config = (more: object, profile = 'node') =>
  parseConfig(JSON.stringify({ version: 1, site: 'outpost-7.example', profile, ...more }), 'holdfast.json');

test('a site archives and checks itself by schedule, a dev site on demand', () => {
  expect(config({})).toMatchObject({
    retention: { schedule: '41 2 * * *' },
    integrity: { schedule: '7 1 * * *', entriesPerSecond: 500 },
  });
  expect(config({}, 'dev')).toMatchObject({ retention: { schedule: null }, integrity: { schedule: null } });
  const set = { retention: { schedule: null }, integrity: { schedule: '0 * * * *', entries_per_second: 9 } };
  expect(config(set)).toMatchObject({
    retention: { schedule: null },
    integrity: { schedule: '0 * * * *', entriesPerSecond: 9 },
  });
});

test.each([
  [{ retention: { archive_after: '1d' } }],
  [{ retention: { schedule: 'daily' } }],
  [{ integrity: { entries_per_second: 0 } }],
  [{ integrity: { entries_per_second: 'many' } }],
])('%j is refused: how long things stay is policy', (more) => {
  expect(() => config(more)).toThrow(/holdfast.json/);
});
