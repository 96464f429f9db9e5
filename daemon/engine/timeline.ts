/** A wall clock that moved by less than this against the monotonic one is still the same clock. */
const SAME_MS = 1_000;
/** More settings of the clock than this in one boot, and what came before the oldest counts as recorded before the boot. */
const STRETCHES_MAX = 256;

/** Entries from `from` on, to the next stretch, were recorded while the wall clock stood `offset` ahead of the monotonic one. */
export interface Stretch {
  from: number;
  offset: number;
}

/**
 * Which wall clock the entries of this boot were recorded by. Somebody may set that clock while the machine runs; what was
 * granted by the old setting still lasts as long as it was granted for, because this tells when that was on the monotonic
 * clock.
 */
export class Timeline {
  readonly #stretches: Stretch[] = [];

  /** The stretches, oldest first. */
  get stretches(): readonly Stretch[] {
    return this.#stretches;
  }

  /** Notes how the clocks stand as entries from `from` on are recorded. */
  follow(from: number, offset: number): void {
    const last = this.#stretches.at(-1);
    if (last !== undefined && Math.abs(offset - last.offset) < SAME_MS) return;
    if (last?.from === from) last.offset = offset;
    else this.#stretches.push({ from, offset });
    if (this.#stretches.length > STRETCHES_MAX) this.#stretches.shift();
  }

  /** Wall minus monotonic clock when the entry was recorded; null when that was before this boot, or is not known any more. */
  offsetAt(index: number): number | null {
    for (let at = this.#stretches.length - 1; at >= 0; at--) {
      const stretch = this.#stretches[at];
      if (stretch !== undefined && index >= stretch.from) return stretch.offset;
    }
    return null;
  }

  /** What a clock that was never set since would show now, at the most: the farthest ahead of all that were in use. */
  latest(monotonic: number): number {
    return Math.max(...this.#stretches.map(({ offset }) => monotonic + offset));
  }

  /** Whether the clock was never set in this boot. */
  get isPlain(): boolean {
    return this.#stretches.length <= 1;
  }
}
