import type { TimeTrust } from '../formats/entry.ts';
import type { Clock } from '../host/clock.ts';

/** The wall clock may drift this far from the monotonic one, or behind the floor, before time counts as uncertain. */
const TOLERANCE_MS = 2 * 60_000;

/** One look at the clocks. All in milliseconds since 1970. */
export interface Reading {
  /** What to record. */
  now: number;
  /** How far to believe it. */
  trust: TimeTrust;
  /** What it is at least: behind it the wall clock was set back, which must not lengthen anything granted before. */
  at_least: number;
  /** The monotonic clock, which nobody can set: what lasts for a while is measured by it. Milliseconds of this run. */
  monotonic: number;
}

/**
 * How far the clock can be believed (design: "Time without NTP"). The floor starts at the stored value and rises only
 * as far as the monotonic clock moved since: a wall clock that jumps a year ahead cannot poison it.
 */
export class TimeKeeper {
  readonly #clock: Clock;
  readonly #floorAtStart: number;
  readonly #monotonicAtStart: number;
  #wallAnchor: number;
  #monotonicAnchor: number;

  constructor(clock: Clock, storedFloor: number) {
    this.#clock = clock;
    this.#floorAtStart = storedFloor;
    this.#monotonicAtStart = clock.monotonic();
    this.#wallAnchor = clock.now();
    this.#monotonicAnchor = this.#monotonicAtStart;
  }

  /** Milliseconds since 1970 that it is at least now. */
  floor(): number {
    return this.#floorAtStart + Math.max(0, this.#clock.monotonic() - this.#monotonicAtStart);
  }

  /** The instant to record and how far to believe it. */
  read(): Reading {
    const now = this.#clock.now();
    const monotonic = this.#clock.monotonic();
    const elapsed = monotonic - this.#monotonicAnchor;
    const expected = this.#wallAnchor + elapsed;
    if (now + TOLERANCE_MS < this.floor() || Math.abs(now - expected) > TOLERANCE_MS)
      return { now, trust: 'uncertain', at_least: Math.max(this.floor(), expected), monotonic };
    // Slow drift against the monotonic clock is normal over months; only jumps between two reads are suspicious.
    this.#wallAnchor = now;
    this.#monotonicAnchor += elapsed;
    return { now, trust: 'floor', at_least: now, monotonic };
  }
}
