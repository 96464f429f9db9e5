import { describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { checkStructure } from '../../daemon/core/bundle.ts';
import { isOpen, retentionRule } from '../../daemon/core/retention.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { lintBundle } from '../../daemon/policy/lint.ts';
import { testBundle } from '../engine/bundle.ts';

const withRetention = (retention: Bundle['retention'] | undefined): Bundle =>
  testBundle(retention === undefined ? {} : { retention });

describe('section retention', () => {
  test('is times and sizes; what is left out is never, or without a bound', () => {
    const full = { archive_after: '90d', keep_entries_for: '10d', envelopes_for: '12h', max_disk: '2GiB' };
    expect(retentionRule({ ...full, segment_size: 512 })).toEqual({
      archiveAfterMs: 90 * 86_400_000,
      keepMs: 10 * 86_400_000,
      envelopesMs: 12 * 3_600_000,
      segmentSize: 512,
      maxDiskBytes: 2 * 1_024 ** 3,
    });
    expect(retentionRule({ archive_after: '1h' })).toMatchObject({
      keepMs: null,
      envelopesMs: null,
      segmentSize: 4_096,
      maxDiskBytes: null,
    });
    expect(retentionRule({ archive_after: '1h', max_disk: '7MiB' }).maxDiskBytes).toBe(7 * 1_048_576);
  });

  test.each([
    [{ keep_entries_for: '1d' }],
    [{ archive_after: 'never' }],
    [{ archive_after: '1d', segment_size: 255 }],
    [{ archive_after: '1d', segment_size: 300 }],
    [{ archive_after: '1d', segment_size: 131_072 }],
    [{ archive_after: '1d', max_disk: '5' }],
    [{ archive_after: '1d', delete_after: '1d' }],
  ])('is refused as %j', (retention) => {
    const bundle = withRetention(retention as never);
    expect(checkStructure(bundle as never).length).toBeGreaterThan(0);
  });

  test('is described to who reads a change of policy', () => {
    const was = withRetention({ archive_after: '90d', max_disk: '1GiB' });
    const is = withRetention({ archive_after: '30d', keep_entries_for: '365d' });
    expect(describeChanges(was, is)).toEqual([
      'Entries of closed decisions move into archive files after 30d (was: 90d).',
      'Archive files may be carried off after 365d (was: not set).',
      'There is no bound for the disk that the ledger takes (was: 1GiB).',
    ]);
    expect(describeChanges(is, withRetention(undefined))).toEqual([
      'Nothing is archived or shredded by age any more.',
    ]);
    expect(describeChanges(is, is)).toEqual([]);
  });

  test('is looked through for times that cannot be meant', () => {
    const checks = (retention: Bundle['retention']) =>
      lintBundle(withRetention(retention)).flatMap(({ check }) =>
        check.startsWith('retention.') ? check : [],
      );
    expect(checks({ archive_after: '30d', keep_entries_for: '365d', envelopes_for: '90d' })).toEqual([]);
    expect(checks({ archive_after: '30d', keep_entries_for: '30d' })).toEqual(['retention.keep_too_short']);
    expect(checks({ archive_after: '30d', keep_entries_for: '60d', envelopes_for: '61d' })).toEqual([
      'retention.envelopes_outlast',
    ]);
  });
});

test.each([
  ['pending_authority', 'none', 5, true],
  ['evaluated', 'none', null, true],
  ['authorized', 'issued', 5, true],
  ['authorized', 'redeemed', null, true],
  ['executed', 'unknown', null, true],
  ['executed', 'succeeded', null, false],
  ['executed', 'failed', null, false],
  ['expired', 'issued', null, false],
  ['denied', 'none', null, false],
  ['cancelled', 'none', null, false],
  ['reviewed', 'succeeded', null, false],
] as const)(
  'a decision that is %s with a permit that is %s: open %s %s',
  (status, permit, expires_at, open) => {
    expect(isOpen({ status, permit, expires_at })).toBe(open);
  },
);
