import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/*
 * What the calling thread's heap let grow and does not need any more goes back to the system. V8 does that by itself only while
 * something is allocated: a site that started, or was busy, and rests since would keep its largest size for ever.
 */

/** How often a thread looks at what it did. */
const LOOK_MS = 10_000;
/** Share of the time that a thread at rest is active. */
const RESTING = 0.02;
/** Looks at rest, one after the other, before anything is collected. */
const LOOKS = 3;
/** Time that a thread must have been active before a collection is worth it. */
const WORTH_MS = 1_000;

/** Collects all garbage of this thread at once: some 20 ms of CPU for 30 MB that are in use. */
export function shedMemory(): void {
  // V8 gives its collector to contexts that are made while this is set. Set for longer, no code cache would fit any more.
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('typeof gc === "function" ? gc : null');
  setFlagsFromString('--no-expose-gc');
  // Another thread may have taken the flag back just now; then it is not this time.
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** Does the same whenever this thread rests after it was busy. It keeps no thread alive. */
export function shedAtRest(): void {
  const watch = new RestWatch();
  let before = performance.eventLoopUtilization();
  setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { active, idle } = performance.eventLoopUtilization(now, before);
    before = now;
    if (watch.isDue(active, active + idle)) shedMemory();
  }, LOOK_MS).unref();
}

/** When a thread that was busy rests. */
export class RestWatch {
  #looks = 0;
  /** Active time since the last collection. */
  #active = 0;

  /** Takes up for how many of the last `span` ms the thread was active. True once for each rest that follows work. */
  isDue(active: number, span: number): boolean {
    this.#active += active;
    this.#looks = active <= span * RESTING ? this.#looks + 1 : 0;
    if (this.#looks < LOOKS || this.#active < WORTH_MS) return false;
    this.#active = 0;
    return true;
  }
}
