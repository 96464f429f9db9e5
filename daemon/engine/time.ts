import {
  assess,
  type Doubt,
  floorAt,
  type Grounds,
  type Ladder,
  type Look,
  learn,
  type OutsideTime,
  SETTLE_MS,
  startLadder,
  TOLERANCE_MS,
  trustOf,
} from '../core/time-ladder.ts';
import type { TimeTrust } from '../formats/entry.ts';
import type { MachineClock } from '../host/clock.ts';
import { Challenges } from './time-challenges.ts';
import { Timeline } from './timeline.ts';

/** One look at the clocks. All in milliseconds since 1970, except where another zero is named. */
export interface Reading {
  /** What to record. */
  now: number;
  /** How far to believe it. */
  trust: TimeTrust;
  /** What it is at least: behind it the wall clock was set back, which must not lengthen anything granted before. */
  at_least: number;
  /** The monotonic clock, which nobody can set: what lasts for a while is measured by it. Milliseconds of this boot. */
  monotonic: number;
}

/** What to say about the time, to people and in entries. */
export interface TimeReport extends Reading {
  floor: number;
  /** What the wall clock should show, as far as anybody knows; null when nobody does. */
  expected: number | null;
  grounds: Grounds;
  doubt: Doubt | null;
  /** A doubted clock stands right again, and is believed once it has stayed so for some seconds. */
  settling: boolean;
  /** Since when it is doubted: the best that was known of the time then. Null when it is not. */
  since: number | null;
  outside: Ladder['outside'];
  boot: string;
}

/** What the ledger says about the time already. */
export interface RecordedTime {
  doubt: Doubt | null;
  /** Wall minus monotonic clock then; null when that was in another boot. */
  offset: number | null;
  monotonic: number;
}

const SAMPLES_MAX = 256;
const NOTHING_RECORDED: RecordedTime = { doubt: null, offset: null, monotonic: 0 };

/**
 * The time ladder at work (`core/time-ladder.ts`): reads the clocks, keeps what is known about them in this boot, and
 * which clock the entries were recorded by. Outlives a ledger that is closed and opened again.
 */
export class TimeKeeper {
  readonly timeline = new Timeline();
  readonly challenges = new Challenges();
  readonly #clock: MachineClock;
  #ladder: Ladder;
  #last: Reading | null = null;
  #synchronized = false;
  #entries: () => number = () => 0;
  #recorded = NOTHING_RECORDED;
  #doubted: { at: number; monotonic: number } | null = null;
  /** How large the ledger was at some instants of this run. */
  #samples: { size: number; monotonic: number }[] = [];

  constructor(clock: MachineClock, storedFloor: number) {
    this.#clock = clock;
    this.#ladder = startLadder(storedFloor, clock.monotonic());
  }

  get boot(): string {
    return this.#clock.boot;
  }

  /** Takes over what the ledger knows of this boot; null when it knows nothing. To be called once, before the first look. */
  resume(known: Pick<Ladder, 'offset' | 'outside'> | null, recorded: RecordedTime | null): void {
    if (known !== null) this.#ladder = { ...this.#ladder, ...known };
    this.#recorded = recorded ?? NOTHING_RECORDED;
  }

  /** Where to ask how many entries the ledger has. */
  watch(entries: () => number): void {
    this.#entries = entries;
  }

  /** Milliseconds since 1970 that it is at least now. */
  floor(): number {
    return floorAt(this.#ladder, this.#clock.monotonic());
  }

  /** The instant to record and how far to believe it. */
  read(): Reading {
    let look = this.#look();
    let ladder = assess(this.#ladder, look);
    if (ladder.doubt === 'jumped' && this.#ladder.doubt === null && this.#clock.noticeSleep()) {
      look = this.#look();
      ladder = assess(this.#ladder, look);
    }
    this.#ladder = ladder;
    this.timeline.follow(this.#entries(), look.wall - look.monotonic);
    const { offset, doubt } = ladder;
    const { wall: now, monotonic } = look;
    const expected = offset === null ? 0 : monotonic + offset;
    const at_least = Math.max(doubt === null ? now : floorAt(ladder, monotonic), expected);
    if (doubt === null) this.#doubted = null;
    else this.#doubted ??= { at: at_least, monotonic };
    this.#last = { now, trust: trustOf(ladder, this.#synchronized), at_least, monotonic };
    return this.#last;
  }

  /** Everything that there is to say about the time as the last look found it. */
  latest(): TimeReport {
    return this.#describe(this.#last ?? this.read(), this.#ladder);
  }

  /** The same for now. */
  report(): TimeReport {
    return this.#describe(this.read(), this.#ladder);
  }

  /** For how long the clock has been doubted, in milliseconds; 0 when it is not. */
  doubtedFor(): number {
    return this.#doubted === null ? 0 : this.#clock.monotonic() - this.#doubted.monotonic;
  }

  /** What there would be to say once a word from outside was taken in. Changes nothing. */
  preview(outside: OutsideTime): TimeReport {
    const look = this.#look();
    const ladder = assess(learn(this.#ladder, outside, look), look);
    const trust = trustOf(ladder, this.#synchronized);
    return this.#describe({ now: look.wall, trust, at_least: look.wall, monotonic: look.monotonic }, ladder);
  }

  #describe(reading: Reading, { offset, grounds, doubt, outside, ...ladder }: Ladder): TimeReport {
    const { monotonic } = reading;
    const doubted = doubt === null ? null : this.#doubted;
    return {
      ...reading,
      floor: floorAt({ ...ladder, offset, grounds, doubt, outside }, monotonic),
      expected: offset === null ? null : monotonic + offset,
      grounds,
      doubt,
      settling: ladder.back_since !== null,
      since: doubted?.at ?? null,
      outside,
      boot: this.boot,
    };
  }

  /** Takes in a verified word from outside, once the entry about it is durable. */
  learn(outside: OutsideTime): void {
    this.#ladder = learn(this.#ladder, outside, this.#look());
  }

  /** Once a second: sleep, what the kernel says if policy believes it, and how large the ledger is. */
  tend(believesKernel: boolean): void {
    this.#clock.noticeSleep();
    this.#synchronized = believesKernel && this.#clock.synchronized() === true;
    const size = this.#entries();
    if (this.#samples.at(-1)?.size === size) return;
    this.#samples.push({ size, monotonic: this.#clock.monotonic() });
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.filter((_, at) => at % 2 === 0);
  }

  /** Milliseconds that have passed at most since the ledger grew to `size`; null when it had before this run. */
  ageOfSize(size: number): number | null {
    const before = this.#samples.findLast((sample) => sample.size < size);
    return before === undefined || size > this.#entries() ? null : this.#clock.monotonic() - before.monotonic;
  }

  /** Whether what the last look found is not on record: trust was lost or won, or the doubt is another one. */
  get isUnrecorded(): boolean {
    const { doubt, monotonic } = this.#ladder;
    const recorded = this.#recorded;
    if (doubt === null || recorded.doubt === null) return doubt !== recorded.doubt;
    if (recorded.offset === null) return true;
    if (monotonic - recorded.monotonic < SETTLE_MS) return false;
    return doubt !== recorded.doubt || Math.abs(this.#offset() - recorded.offset) > TOLERANCE_MS;
  }

  /** Notes that what is known now is on record. */
  recorded(): void {
    const { doubt, monotonic } = assess(this.#ladder, this.#look());
    this.#recorded = { doubt, monotonic, offset: this.#offset() };
  }

  /** Wall minus monotonic clock as they stood when entries were last recorded. */
  #offset(): number {
    return this.timeline.stretches.at(-1)?.offset ?? 0;
  }

  #look(): Look {
    return {
      wall: this.#clock.now(),
      monotonic: this.#clock.monotonic(),
      synchronized: this.#synchronized,
    };
  }
}
