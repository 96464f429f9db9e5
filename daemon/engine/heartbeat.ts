import type { DiskLevel } from './disk-guard.ts';

/** Says when the next `system.heartbeat` entry is due, by the monotonic clock: `system.started` is the first sign of life. */
export class Heartbeat {
  readonly #everyMs: number | null;
  #last: number;

  constructor(everyMs: number | null, monotonic: number) {
    this.#everyMs = everyMs;
    this.#last = monotonic;
  }

  /** The interval when one is due, else null. On the last of a disk none is worth its place. */
  due(disk: DiskLevel, monotonic: number): number | null {
    const every = this.#everyMs;
    if (every === null || disk === 'critical' || monotonic - this.#last < every) return null;
    this.#last = monotonic;
    return every;
  }
}
