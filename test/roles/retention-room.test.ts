import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { retentionRule } from '../../daemon/core/retention.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { budgetHealth, roundHealth, sizesOf } from '../../daemon/roles/retention-room.ts';
import { temporaryDir } from '../host/temporary.ts';

const MIB = 1_048_576;
const standing = (maxDisk: string | undefined, reusable = 0) => ({
  rule: retentionRule({ archive_after: '1d', ...(maxDisk === undefined ? {} : { max_disk: maxDisk }) }),
  archived: { segments: 2, entries: 8_192, bytes: 0, carried: 0 },
  reusable_bytes: reusable,
});

test('the bound is for database and archive together, less the room inside the database', () => {
  const sizes = { ledger: 7 * MIB, archive: 4 * MIB };
  expect(budgetHealth(standing(undefined), sizes)).toEqual([]);
  expect(budgetHealth(standing('11MiB'), sizes)).toEqual([]);
  expect(budgetHealth(standing('10MiB', MIB), sizes)).toEqual([]);
  expect(budgetHealth(standing('10MiB'), sizes)).toMatchObject([
    {
      component: 'retention',
      cause: 'ledger and archive take 11 MiB of the disk; the policy allows 10 MiB',
      instruction: expect.stringContaining('prune --carried'),
    },
  ]);
  expect(budgetHealth(standing('1GiB'), { ledger: 1_024 * MIB, archive: 1 })).toHaveLength(1);
});

test('what is measured are the files as they are, also where there is no archive yet', () => {
  const paths = sitePaths(temporaryDir());
  mkdirSync(paths.state, { recursive: true });
  expect(sizesOf(paths)).toEqual({ ledger: 0, archive: 0 });
  writeFileSync(paths.ledger, Buffer.alloc(100));
  writeFileSync(`${paths.ledger}-wal`, Buffer.alloc(20));
  mkdirSync(archiveDir(paths.ledger));
  writeFileSync(`${archiveDir(paths.ledger)}/a`, Buffer.alloc(7));
  expect(sizesOf(paths)).toEqual({ ledger: 120, archive: 7 });
});

test('a round that stopped is said until one succeeds', () => {
  expect(roundHealth(null)).toEqual([]);
  expect(roundHealth({ at: '2031-01-01T00:00:00.000Z', why: 'something is damaged' })).toMatchObject([
    { component: 'retention', since: '2031-01-01T00:00:00.000Z' },
  ]);
});
