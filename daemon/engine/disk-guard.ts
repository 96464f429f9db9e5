import type { DiskConfig } from '../host/config/disk.ts';
import type { Disk } from '../host/disk-reserve.ts';

/**
 * How the disk stands. `low`: nothing is allowed any more, denials are still recorded. `critical`: only the last part of
 * the reserve is left; what must be recorded still is, a routine question is answered without an entry.
 */
export type DiskLevel = 'ok' | 'low' | 'critical';

export interface DiskReport {
  level: DiskLevel;
  since: number | null;
  free_bytes: number | null;
  reserve_bytes: number;
  held_bytes: number;
}

/** Parts in which the reserve is given back; the last is not for routine. */
const PARTS = 4;
/** Most that one look adds to the reserve: a millisecond of the writer's time. */
const GROWTH = 1_048_576;
/** Once low, the disk must have so many times the limit before it counts as well again. */
const RECOVERED = 1.25;

const NO_DISK: Disk = { free: () => null, held: () => 0, hold: () => 0 };

/**
 * Watches the disk under the ledger: says stop before writes fail, gives the reserve back part by part when the disk is
 * full all the same, and takes it again when there is space. `look` is to be called every second, and before every batch
 * while the level is not `ok`.
 */
export class DiskGuard {
  readonly #disk: Disk;
  readonly #reserve: number;
  readonly #low: number;
  readonly #now: () => number;
  #level: DiskLevel = 'ok';
  #since: number | null = null;
  #free: number | null = null;
  #held = 0;

  constructor(options: { disk: Disk; settings: DiskConfig } | null, now: () => number) {
    this.#disk = options?.disk ?? NO_DISK;
    this.#reserve = options?.settings.reserve_bytes ?? 0;
    this.#low = options?.settings.low_bytes ?? 0;
    this.#now = now;
    this.look();
  }

  get level(): DiskLevel {
    return this.#level;
  }

  report(): DiskReport {
    return {
      level: this.#level,
      since: this.#since,
      free_bytes: this.#free,
      reserve_bytes: this.#reserve,
      held_bytes: this.#held,
    };
  }

  /** Looks at the disk, gives back or takes what that demands, and says how it stands. A disk that cannot be asked stands as before. */
  look(): DiskLevel {
    try {
      this.#free = this.#disk.free();
      if (this.#free !== null) this.#balance(this.#free);
    } catch {
      // Neither readable nor writable is the ledger's trouble, which it reports itself.
    }
    return this.#level;
  }

  /** A write has failed for want of space. Gives one part back at once; false when there is nothing left to give. */
  full(): boolean {
    if (this.#held === 0) return false;
    try {
      this.#giveBack();
      const free = this.#disk.free();
      // Where the system counts more room than it gives (a quota), only what was given back can help.
      if (free !== null) this.#judge(free);
    } catch {
      return false;
    }
    return true;
  }

  #balance(free: number): void {
    this.#held = this.#disk.held();
    const part = this.#part();
    // Half a part is room for the entries of the second until the next look.
    if (free < part / 2 && this.#held > 0) this.#giveBack();
    else if (this.#held < this.#reserve) this.#take(free);
    this.#judge(this.#disk.free() ?? free);
  }

  #judge(free: number): void {
    this.#free = free;
    const limit = this.#level === 'ok' ? this.#low : this.#low * RECOVERED;
    if (free >= limit) this.#stand('ok');
    else this.#stand(this.#held <= this.#part() ? 'critical' : 'low');
  }

  #giveBack(): void {
    const part = this.#part();
    this.#held = this.#disk.hold(Math.max(0, Math.ceil(this.#held / part - 1) * part));
  }

  #take(free: number): void {
    const spare = free - Math.ceil(this.#low * RECOVERED);
    const more = Math.min(GROWTH, this.#reserve - this.#held, spare);
    if (more > 0) this.#held = this.#disk.hold(this.#held + more);
  }

  #part(): number {
    return Math.ceil(this.#reserve / PARTS);
  }

  #stand(level: DiskLevel): void {
    if (level !== this.#level) this.#since = level === 'ok' ? null : (this.#since ?? this.#now());
    this.#level = level;
  }
}
