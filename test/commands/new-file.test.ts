import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { carry } from '../../daemon/commands/carry.ts';
import { assertFree, writeNew } from '../../daemon/commands/new-file.ts';
import { temporaryDir } from '../host/temporary.ts';

test('a new file has its content and mode, and never replaces another', () => {
  const path = join(temporaryDir(), 'proof');
  writeNew(path, 'whole');
  expect(readFileSync(path, 'utf8')).toBe('whole');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(() => writeNew(path, 'other')).toThrow(/EEXIST/);
  expect(readFileSync(path, 'utf8')).toBe('whole');
});

test('what a full disk cut off is removed, so that the command can be repeated', async (context) => {
  const disk = temporaryDir();
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', disk]);
  if (mounted.status !== 0) return context.skip('mounting needs root');
  onTestFinished(() => void spawnSync('umount', [disk]));
  const path = join(disk, 'evidence');
  const refused = expect.objectContaining({ code: 'ENOSPC', path });
  expect(() => writeNew(path, Buffer.alloc(100_000))).toThrow(refused);
  expect(readdirSync(disk)).toEqual([]);
  expect(() => assertFree(path)).not.toThrow();

  // Room for the text, and not for the picture.
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(12_288));
  const outlets = { out: join(disk, 'text'), png: join(disk, 'code.png') };
  await expect(carry('S', 'x'.repeat(4_000), outlets)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(readdirSync(disk)).toEqual(['ballast']);
});
