import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type BackupWorld, backupWorld, PATIENCE_MS } from './backup-world.ts';

/** A file system of that size under the world, or null where we may not mount one. */
function smallDisk({ world }: BackupWorld, name: string, size: string): string | null {
  const path = join(world.root, name);
  mkdirSync(path);
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
  if (mount.status !== 0) return null;
  onTestFinished(() => void spawnSync('umount', ['-l', path]));
  return path;
}

test(
  'a disk without room takes neither half a backup nor half a site',
  async (context) => {
    const on = await backupWorld();
    onTestFinished(() => on.world.close());
    const tiny = smallDisk(on, 'tiny', '4k');
    if (tiny === null) return context.skip('mounting needs root');
    const ran = await on.backup(join(tiny, 'one.tar.zst.age'));
    expect(ran.code).toBe(5);
    expect(ran.stderr).toContain('the disk is full');
    expect(readdirSync(tiny)).toEqual([]);

    // No byte at all is left: the file fails at its first write.
    const full = smallDisk(on, 'full', '64k') ?? '';
    expect(() => writeFileSync(join(full, 'filler'), Buffer.alloc(1_000_000))).toThrow();
    const none = await on.backup(join(full, 'one.tar.zst.age'));
    expect(none).toMatchObject({ code: 5, stderr: expect.stringContaining('the disk is full') });
    expect(readdirSync(full)).toEqual(['filler']);

    const file = join(on.world.root, 'good.tar.zst.age');
    expect((await on.backup(file)).code).toBe(0);
    const small = smallDisk(on, 'small', '100k');
    const restored = await on.restore(file, 'small/site');
    expect(restored.code).toBe(5);
    expect(restored.stderr).toContain('the disk is full');
    expect(readdirSync(small ?? '')).toEqual([]);
    expect((await on.restore(file, 'roomy')).code).toBe(0);
    expect((await on.world.json('ledger', 'verify')).code).toBe(0);
  },
  PATIENCE_MS,
);
