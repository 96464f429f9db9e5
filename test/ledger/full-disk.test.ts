import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isStorageError } from '../../daemon/ledger/database.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import { check, commitBatch, create, filesIn, grow, open, storeHead, streamNames, TRUST } from './fixture.ts';

/** A file system of 2 MiB, or null where we may not mount one. */
function smallDisk(): string | null {
  const path = temporaryDir();
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path]);
  if (mount.status !== 0) return null;
  onTestFinished(() => void spawnSync('umount', [path]));
  return path;
}

test('a full disk fails the batch, keeps what was committed, and is over when there is space again', async (context) => {
  const disk = smallDisk();
  if (disk === null) return context.skip('mounting needs root');
  const files = filesIn(disk);
  const ledger = create(files);
  grow(ledger, 50, 10);
  storeHead(files, ledger);
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(700_000));
  let failure: unknown;
  let committed = ledger.size;
  while (failure === undefined) {
    try {
      commitBatch(ledger, streamNames(ledger.size, 20), 'x'.repeat(1_000));
      committed = ledger.size;
    } catch (error) {
      failure = error;
    }
  }
  expect(isStorageError(failure)).toBe(true);
  ledger.rollback();
  expect(ledger.size).toBe(committed);

  rmSync(ballast);
  expect(check(files).entries).toHaveLength(committed);
  grow(ledger, 30, 10);
  expect(check(files).entries).toHaveLength(committed + 30);
  ledger.close();
  open(files).close();
  // A disk that has no room to look at the files says nothing about them.
  const options = { ledgerPath: files.ledger, headPath: files.head, trust: TRUST, inPlace: true };
  await expect(verifyLedger(options)).rejects.toMatchObject({ code: 'database.unreadable' });
  spawnSync('mount', ['-o', 'remount,size=4m', disk]);
  expect(await verifyLedger(options)).toMatchObject({ code: 0, entries: committed + 30 });
});
