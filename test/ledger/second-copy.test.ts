import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { firstLineage } from '../../daemon/formats/log-keys.ts';
import { writeLineage } from '../../daemon/host/log-lineage.ts';
import { COPY_MARK, createCopy } from '../../daemon/ledger/copy-mark.ts';
import { type CopyJob, copyRound } from '../../daemon/ledger/second-copy.ts';
import { verifyTileDirectory } from '../../daemon/ledger/verify-tiles.ts';
import { temporaryDir } from '../host/temporary.ts';
import { ROOT } from '../structure/sources.ts';
import { create, type Files, filesIn, grow, ORIGIN, open, SIGNER, TRUST } from './fixture.ts';

/** A ledger of so many entries, and a job that copies it into a copy that was begun. */
function job(entries: number, directory = join(temporaryDir(), 'copy')): { files: Files; job: CopyJob } {
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, entries, 100);
  ledger.close();
  const trustPath = temporaryDir();
  writeLineage(trustPath, [firstLineage(ORIGIN, SIGNER.vkey)]);
  createCopy(directory, ORIGIN);
  return { files, job: { ledgerPath: files.ledger, trustPath, directory } };
}

function more(files: Files, entries: number): void {
  const ledger = open(files);
  grow(ledger, entries, 100);
  ledger.close();
}

async function sound(directory: string, entries: number): Promise<void> {
  expect(await verifyTileDirectory({ directory, trust: TRUST })).toMatchObject({ code: 0, entries });
}

/** A file system of 256 KiB, or null where we may not mount one. */
function smallDisk(): string | null {
  const path = temporaryDir();
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', path]);
  if (mount.status !== 0) return null;
  onTestFinished(() => void spawnSync('umount', ['-l', path]));
  return path;
}

describe('a round of copying', () => {
  test('brings the copy up to the ledger, and finds nothing to do then', async () => {
    const { files, job: it } = job(700);
    expect(copyRound(it)).toEqual({ state: 'current', size: 700, ledger: 700, cause: null });
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 700 });
    more(files, 100);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 800 });
    await sound(it.directory, 800);
  });

  test('takes a long way in steps, each of them a whole copy', async () => {
    const { job: it } = job(20_000);
    const { state, size } = copyRound(it);
    expect(state).toBe('behind');
    await sound(it.directory, size ?? 0);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 20_000 });
    await sound(it.directory, 20_000);
  });

  test('writes nothing where no copy was begun: a disk that is not mounted looks like that', () => {
    const { files, job: it } = job(10);
    copyRound(it);
    renameSync(it.directory, `${it.directory}.gone`);
    expect(copyRound(it)).toMatchObject({ state: 'away', size: null });
    mkdirSync(it.directory);
    expect(copyRound(it)).toMatchObject({ state: 'away' });
    expect(spawnSync('ls', ['-A', it.directory]).stdout.toString()).toBe('');
    rmSync(it.directory, { recursive: true });
    more(files, 100);
    renameSync(`${it.directory}.gone`, it.directory);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 110 });
  });

  test('refuses what is not a copy of this ledger, and leaves it as it is', async () => {
    const { files, job: it } = job(300);
    copyRound(it);
    const mark = join(it.directory, COPY_MARK);
    writeFileSync(mark, JSON.stringify({ v: 1, origin: 'outpost-8.example/ledger' }));
    expect(copyRound(it)).toMatchObject({ state: 'refused' });
    writeFileSync(mark, 'nonsense');
    expect(copyRound(it)).toMatchObject({ state: 'refused' });
    writeFileSync(mark, JSON.stringify({ v: 1, origin: ORIGIN }));

    // An older ledger was put back: the copy knows better, and says so.
    const old = filesIn(temporaryDir());
    const shorter = create(old);
    grow(shorter, 200, 100);
    shorter.close();
    const before = readFileSync(join(it.directory, 'checkpoint'), 'utf8');
    const rolledBack = copyRound({ ...it, ledgerPath: old.ledger });
    expect(rolledBack).toMatchObject({ state: 'refused', ledger: 200 });
    expect(rolledBack.cause).toContain('rolled back');
    expect(readFileSync(join(it.directory, 'checkpoint'), 'utf8')).toBe(before);
    expect(copyRound({ ...it, ledgerPath: files.ledger })).toMatchObject({ state: 'current' });
    await sound(it.directory, 300);
  });

  test('says that the disk is full, and goes on when there is room', async (context) => {
    const disk = smallDisk();
    if (disk === null) return context.skip('mounting needs root');
    const { files, job: it } = job(200, join(disk, 'copy'));
    expect(copyRound(it)).toMatchObject({ state: 'current' });
    more(files, 1_500);
    expect(copyRound(it)).toMatchObject({ state: 'full' });
    await sound(it.directory, 200);
    spawnSync('mount', ['-o', 'remount,size=8m', disk]);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 1_700 });
    await sound(it.directory, 1_700);
  });

  test('says that the disk is read-only', async (context) => {
    const disk = smallDisk();
    if (disk === null) return context.skip('mounting needs root');
    const { files, job: it } = job(20, join(disk, 'copy'));
    copyRound(it);
    more(files, 10);
    spawnSync('mount', ['-o', 'remount,ro', disk]);
    expect(copyRound(it)).toMatchObject({ state: 'read_only' });
    spawnSync('mount', ['-o', 'remount,rw', disk]);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 30 });
  });
});

test('killed at any moment, a copier leaves a copy that verifies and that the next one goes on with', async () => {
  const { job: it } = job(6_000);
  const pristine = `${it.directory}.pristine`;
  cpSync(it.directory, pristine, { recursive: true });
  const script = `
    const { copyRound } = await import(${JSON.stringify(join(ROOT, 'daemon/ledger/second-copy.ts'))});
    process.stdout.write('ready');
    copyRound(${JSON.stringify(it)});`;
  for (const ms of [0, 2, 5, 10, 20, 40, 80]) {
    rmSync(it.directory, { recursive: true });
    cpSync(pristine, it.directory, { recursive: true });
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await pause(ms);
    child.kill('SIGKILL');
    await ended;
    const { code } = await verifyTileDirectory({ directory: it.directory, trust: TRUST });
    // Nothing yet (no checkpoint), or a whole copy.
    expect([0, 10, 14]).toContain(code);
    expect(copyRound(it)).toMatchObject({ state: 'current', size: 6_000 });
    await sound(it.directory, 6_000);
  }
}, 120_000);

test('a copy is begun in an empty directory only', () => {
  const directory = temporaryDir();
  writeFileSync(join(directory, 'precious'), '');
  expect(() => createCopy(directory, ORIGIN)).toThrow(expect.objectContaining({ code: 'copy.not_free' }));
  const fresh = join(directory, 'fresh');
  createCopy(fresh, ORIGIN);
  expect(() => createCopy(fresh, ORIGIN)).toThrow(expect.objectContaining({ code: 'copy.not_free' }));
  chmodSync(fresh, 0o755);
});
