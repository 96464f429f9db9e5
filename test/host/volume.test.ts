import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { volumeOf } from '../../daemon/host/volume.ts';

/* A machine made of files: proc/self/mountinfo, sys/dev/block, sys/class/block, dev. */

let root: string;
/** Where the path lies that is asked about; the mount points are above it. */
let place: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hf-volume-'));
  place = join(root, 'data', 'state');
  mkdirSync(place, { recursive: true });
  mkdirSync(join(root, 'proc/self'), { recursive: true });
  mkdirSync(join(root, 'sys/dev/block'), { recursive: true });
  mkdirSync(join(root, 'sys/class/block'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const mount = (device: string, point: string, type: string, source: string) =>
  `36 35 ${device} / ${point.replaceAll(' ', '\\040')} rw,noatime shared:1 - ${type} ${source} rw\n`;
const mounts = (...lines: string[]) => writeFileSync(join(root, 'proc/self/mountinfo'), lines.join(''));

/** A block device in sysfs, and what it is made of. */
function device(
  name: string,
  number: string,
  { uuid, on = [] }: { uuid?: string; on?: string[] } = {},
): void {
  const directory = join(root, 'sys/class/block', name);
  mkdirSync(join(directory, 'slaves'), { recursive: true });
  if (uuid !== undefined) {
    mkdirSync(join(directory, 'dm'));
    writeFileSync(join(directory, 'dm/uuid'), `${uuid}\n`);
  }
  for (const below of on) symlinkSync(join(root, 'sys/class/block', below), join(directory, 'slaves', below));
  symlinkSync(directory, join(root, 'sys/dev/block', number));
}

const asked = () => volumeOf(place, root);

it('knows a plain partition', () => {
  device('sda1', '8:1');
  mounts(mount('8:1', '/', 'ext4', '/dev/sda1'));
  expect(asked()).toEqual({ state: 'plain', mount: '/', type: 'ext4' });
});

it('knows LUKS, and LVM on LUKS', () => {
  device('sda2', '8:2');
  device('dm-0', '253:0', { uuid: 'CRYPT-LUKS2-0123-luks', on: ['sda2'] });
  device('dm-1', '253:1', { uuid: 'LVM-abc', on: ['dm-0'] });
  mounts(
    mount('8:1', '/', 'ext4', '/dev/sda1'),
    mount('253:0', join(root, 'data'), 'ext4', '/dev/mapper/luks'),
  );
  expect(asked()?.state).toBe('encrypted');
  mounts(mount('253:1', '/', 'xfs', '/dev/mapper/vg-lv'));
  expect(asked()?.state).toBe('encrypted');
});

it('takes a mirror for encrypted only when both halves are', () => {
  device('sda2', '8:2');
  device('sdb2', '8:18');
  device('dm-0', '253:0', { uuid: 'CRYPT-LUKS2-a', on: ['sda2'] });
  device('md0', '9:0', { on: ['dm-0', 'sdb2'] });
  mounts(mount('9:0', '/', 'ext4', '/dev/md0'));
  expect(asked()?.state).toBe('plain');
});

it('finds the device of a file system without a number of its own', () => {
  device('dm-0', '253:0', { uuid: 'CRYPT-PLAIN-x' });
  mkdirSync(join(root, 'dev/mapper'), { recursive: true });
  writeFileSync(join(root, 'dev/dm-0'), '');
  symlinkSync(join(root, 'dev/dm-0'), join(root, 'dev/mapper/crypt'));
  mounts(mount('0:31', '/', 'btrfs', '/dev/mapper/crypt'));
  expect(asked()?.state).toBe('encrypted');
});

it.each([
  ['zfs', 'tank/data', 'unknown'],
  ['nfs4', 'depot:/export', 'unknown'],
  ['overlay', 'overlay', 'unknown'],
  ['tmpfs', 'tmpfs', 'memory'],
])('says what it cannot see: %s', (type, source, state) => {
  mounts(mount('0:40', '/', type, source));
  expect(asked()?.state).toBe(state);
});

it('takes the deepest mount, and the last on one point, names with blanks too', () => {
  device('sda1', '8:1');
  device('dm-0', '253:0', { uuid: 'CRYPT-LUKS2-a' });
  place = join(root, 'my data');
  mkdirSync(place);
  mounts(
    mount('253:0', '/', 'ext4', '/dev/dm-0'),
    mount('8:1', join(root, 'my data'), 'ext4', '/dev/sda1'),
    mount('253:0', join(root, 'my'), 'ext4', '/dev/dm-0'),
  );
  expect(asked()?.state).toBe('plain');
});

it('is silent where there is nothing to read', () => {
  expect(volumeOf(place, join(root, 'nowhere'))).toBeNull();
  mounts('rubbish\n', '36 35\n');
  expect(asked()).toBeNull();
});

it('sees this very machine without an error', () => {
  const here = volumeOf(tmpdir());
  expect(here === null || ['encrypted', 'plain', 'memory', 'unknown'].includes(here.state)).toBe(true);
});
