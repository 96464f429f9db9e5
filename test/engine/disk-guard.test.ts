import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiskGuard } from '../../daemon/engine/disk-guard.ts';
import { type Disk, DiskReserve } from '../../daemon/host/disk-reserve.ts';

const KIB = 1_024;
const SETTINGS = { reserve_bytes: 400 * KIB, low_bytes: 1_000 * KIB };

/** A disk of a certain size, with others on it. */
class FakeDisk implements Disk {
  readonly size: number;
  used = 0;
  reserve = 0;

  constructor(size: number) {
    this.size = size;
  }

  free(): number {
    return Math.max(0, this.size - this.used - this.reserve);
  }

  held(): number {
    return this.reserve;
  }

  hold(bytes: number): number {
    if (bytes > this.reserve) this.reserve += Math.min(bytes - this.reserve, this.free());
    else this.reserve = bytes;
    return this.reserve;
  }
}

function guarded(size = 4_000 * KIB) {
  const disk = new FakeDisk(size);
  const guard = new DiskGuard({ disk, settings: SETTINGS }, () => 7);
  return { disk, guard };
}

describe('a disk guard', () => {
  it('takes its reserve while there is room, and says that all is well', () => {
    const { disk, guard } = guarded();
    expect(guard.level).toBe('ok');
    expect(disk.reserve).toBe(400 * KIB);
    expect(guard.report()).toMatchObject({ level: 'ok', since: null, held_bytes: 400 * KIB });
  });

  it('never takes a reserve out of what is low already', () => {
    const { disk, guard } = guarded(1_100 * KIB);
    expect(disk.reserve).toBe(0);
    expect(guard.level).toBe('ok');
    disk.used = 200 * KIB;
    // Nothing was kept back, so what is left must do for emergencies.
    expect(guard.look()).toBe('critical');
  });

  it('stops before writes fail, and keeps the reserve for then', () => {
    const { disk, guard } = guarded();
    disk.used = disk.size - disk.reserve - 900 * KIB;
    expect(guard.look()).toBe('low');
    expect(guard.report().since).toBe(7);
    expect(disk.reserve).toBe(400 * KIB);
  });

  it('gives the reserve back part by part, and keeps the last part for what matters most', () => {
    const { disk, guard } = guarded();
    const levels: [string, number][] = [];
    for (let n = 0; n < 5; n++) {
      disk.used += disk.free();
      levels.push([guard.look(), disk.reserve / KIB]);
    }
    expect(levels).toEqual([
      ['low', 300],
      ['low', 200],
      ['critical', 100],
      ['critical', 0],
      ['critical', 0],
    ]);
  });

  it('gives a part back at once when a write fails, until there is nothing left', () => {
    const { disk, guard } = guarded();
    disk.used += disk.free();
    const given = [guard.full(), guard.full(), guard.full(), guard.full(), guard.full()];
    expect(given).toEqual([true, true, true, true, false]);
    expect(disk.reserve).toBe(0);
  });

  it('is well again when there is clearly enough, and takes the reserve back then', () => {
    const { disk, guard } = guarded();
    for (let n = 0; n < 4; n++) {
      disk.used += disk.free();
      guard.look();
    }
    disk.used = disk.size - 1_100 * KIB;
    // Just over the limit is not enough to go back and forth about.
    expect(guard.look()).toBe('critical');
    disk.used = 0;
    expect(guard.look()).toBe('ok');
    expect(disk.reserve).toBe(400 * KIB);
    expect(guard.report().since).toBeNull();
  });

  it('stands as before where the disk cannot be asked, and without one', () => {
    const disk = new FakeDisk(4_000 * KIB);
    const deaf: Disk = { free: () => null, held: () => 0, hold: () => 0 };
    expect(new DiskGuard({ disk: deaf, settings: SETTINGS }, () => 0).look()).toBe('ok');
    const broken: Disk = {
      free: () => disk.free(),
      held: () => disk.held(),
      hold: () => {
        throw new Error('EIO');
      },
    };
    expect(new DiskGuard({ disk: broken, settings: SETTINGS }, () => 0).look()).toBe('ok');
    expect(new DiskGuard(null, () => 0).look()).toBe('ok');
  });

  it('never says that all is well below its limit, and never fills the disk by itself', () => {
    const uses = fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 40 });
    fc.assert(
      fc.property(uses, (steps) => {
        const { disk, guard } = guarded();
        for (const used of steps) {
          disk.used = Math.min(used * KIB, disk.size - disk.reserve);
          const level = guard.look();
          if (level === 'ok') expect(disk.free()).toBeGreaterThanOrEqual(SETTINGS.low_bytes);
          if (disk.reserve > 0 && level === 'critical') expect(disk.reserve).toBeLessThanOrEqual(100 * KIB);
          expect(disk.reserve).toBeLessThanOrEqual(SETTINGS.reserve_bytes);
        }
      }),
    );
  });
});

describe('a reserve file', () => {
  it('holds real bytes, gives them back, and is private', () => {
    const directory = mkdtempSync(join(tmpdir(), 'hf-reserve-'));
    try {
      const path = join(directory, 'reserve');
      const reserve = new DiskReserve(path);
      expect(reserve.free()).toBeGreaterThan(0);
      expect(reserve.held()).toBe(0);
      expect(reserve.hold(700_000)).toBe(700_000);
      const { size, blocks, mode } = statSync(path);
      expect(size).toBe(700_000);
      expect(blocks * 512).toBeGreaterThanOrEqual(size);
      expect(mode & 0o777).toBe(0o600);
      expect(reserve.hold(100_000)).toBe(100_000);
      expect(new DiskReserve(path).held()).toBe(100_000);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
