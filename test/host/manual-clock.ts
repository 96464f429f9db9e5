import type { Clock } from '../../daemon/host/clock.ts';

/** A clock that stands still until a test moves it; wall and monotonic time can be moved apart. */
export class ManualClock implements Clock {
  #wall: number;
  #monotonic = 0;

  constructor(wall: number = Date.parse('2026-11-20T12:00:00Z')) {
    this.#wall = wall;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** Time passes. */
  advance(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }

  /** Somebody sets the wall clock. */
  setWall(ms: number): void {
    this.#wall = ms;
  }
}
