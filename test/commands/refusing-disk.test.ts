import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openBuilding } from '../../daemon/commands/init/building.ts';
import { makeTree } from '../../daemon/host/directory.ts';
import { writeFailure } from '../../daemon/host/write-failure.ts';
import { backupWorld, PATIENCE_MS } from '../backup/backup-world.ts';
import { temporaryDir } from '../host/temporary.ts';

/** A disk of that kind, until the end of the test; null where we may not mount one. */
function disk(kind: 'full' | 'read-only'): string | null {
  const path = temporaryDir();
  const mount = (...words: string[]) => spawnSync('mount', [...words, path]).status === 0;
  if (!mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs')) return null;
  onTestFinished(() => void spawnSync('umount', [path]));
  if (kind === 'read-only') return mount('-o', 'remount,ro') ? path : null;
  try {
    for (let n = 0; ; n++) writeFileSync(join(path, `fill-${n}`), Buffer.alloc(4_096));
  } catch {
    return path;
  }
}

/** What is there besides the ballast. */
const left = (path: string): string[] => readdirSync(path).filter((name) => !name.startsWith('fill-'));

test('what a disk says is told in words, and told from what owner and mode say', () => {
  const of = (code: string) => writeFailure(Object.assign(new Error(code), { code }));
  expect(of('SQLITE_FULL')).toEqual({ why: 'the disk is full', next: 'Make room', isDisk: true });
  expect(of('EROFS').next).not.toContain('room');
  expect(of('EACCES').isDisk).toBe(false);
  expect(of('EWHATEVER')).toMatchObject({ why: 'EWHATEVER', isDisk: false });
  expect(of('SQLITE_IOERR_WRITE').isDisk).toBe(true);
});

test('directories are made with all that is missing above them', () => {
  const dir = temporaryDir();
  expect(makeTree(join(dir, 'a/b/c'), 0o755)).toBe(join(dir, 'a'));
  expect(makeTree(join(dir, 'a/b/c'), 0o755)).toBeUndefined();
});

test('a read-only disk is named, and not a directory that is missing on it', (context) => {
  const path = disk('read-only');
  if (path === null) return context.skip('mounting needs root');
  const readOnly = expect.objectContaining({ code: 'EROFS' });
  expect(() => makeTree(join(path, 'tiles'), 0o755)).toThrow(readOnly);
  expect(() => makeTree(join(path, 'ro/tiles/deep'), 0o755)).toThrow(readOnly);
  const refused = expect.objectContaining({
    code: 'init.not_written',
    message: expect.stringContaining('read-only'),
  });
  expect(() => openBuilding(join(path, 'site'))).toThrow(refused);
});

test('no lock stays on a full disk', (context) => {
  const path = disk('full');
  if (path === null) return context.skip('mounting needs root');
  const refused = expect.objectContaining({
    code: 'init.not_written',
    message: expect.stringContaining('the disk is full; no site was made. Make room'),
  });
  expect(() => openBuilding(join(path, 'site'))).toThrow(refused);
  expect(left(path)).toEqual([]);
});

test(
  'commands say that it is the disk, and that nothing typed is wrong',
  async (context) => {
    const full = disk('full');
    const readOnly = disk('read-only');
    if (full === null || readOnly === null) return context.skip('mounting needs root');
    const on = await backupWorld();
    onTestFinished(() => on.world.close());
    for (const [path, words] of [
      [full, 'the disk is full'],
      [readOnly, 'the disk is read-only'],
    ] as const) {
      const copied = await on.world.holdfast('copy', 'new', join(path, 'copy'));
      expect(copied).toMatchObject({
        code: 5,
        stderr: expect.stringContaining(`${words}; no copy was begun`),
      });
      const elsewhere = ['init', '--site', 'x.example', '--profile', 'dev', '--dir', join(path, 'site')];
      const made = await on.world.holdfast(...elsewhere);
      expect(made).toMatchObject({ code: 5, stderr: expect.stringContaining(`${words}; no site was made`) });
    }
    const { code, stderr } = await on.backup(join(readOnly, 'one.tar.zst.age'));
    expect(code).toBe(5);
    expect(stderr).toContain('read-only');
    expect(stderr).not.toContain('Make room');
  },
  PATIENCE_MS,
);
