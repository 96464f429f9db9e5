import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assess,
  floorAt,
  type Ladder,
  type Look,
  learn,
  type OutsideTime,
  SETTLE_MS,
  startLadder,
  TOLERANCE_MS,
  trustOf,
} from '../../daemon/core/time-ladder.ts';

const T0 = Date.parse('2031-03-01T12:00:00.000Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** A machine with its two clocks, and a ladder that looks at them. */
class Bench {
  wall: number;
  monotonic = 5_000;
  kernel = false;
  ladder: Ladder;

  constructor({ wall = T0, floor = T0 - HOUR } = {}) {
    this.wall = wall;
    this.ladder = startLadder(floor, this.monotonic);
    this.look();
  }

  private get at(): Look {
    return { wall: this.wall, monotonic: this.monotonic, synchronized: this.kernel };
  }

  look(): string {
    this.ladder = assess(this.ladder, this.at);
    return this.ladder.doubt ?? trustOf(this.ladder, this.kernel);
  }

  pass(ms: number): string {
    this.wall += ms;
    this.monotonic += ms;
    return this.look();
  }

  set(wall: number): string {
    this.wall = wall;
    return this.look();
  }

  /** Passes in steps, as a daemon looks once a second. */
  settle(): string {
    this.look();
    return this.pass(SETTLE_MS);
  }

  hear(outside: OutsideTime): string {
    this.ladder = learn(this.ladder, outside, this.at);
    return this.look();
  }

  get floor(): number {
    return floorAt(this.ladder, this.monotonic);
  }
}

describe('the time ladder', () => {
  it('believes a clock that is not behind anything known, and calls it a plausible one', () => {
    const bench = new Bench();
    expect(bench.look()).toBe('floor');
    expect(bench.pass(YEAR)).toBe('floor');
    expect(bench.floor).toBe(T0 - HOUR + YEAR);
  });

  it('doubts 1970, and takes the first clock that is plausible', () => {
    const bench = new Bench({ wall: 0 });
    expect(bench.look()).toBe('behind_floor');
    expect(bench.pass(HOUR)).toBe('behind_floor');
    expect(bench.set(T0 + HOUR)).toBe('floor');
    expect(bench.ladder.grounds).toBe('clock_set');
  });

  it('doubts a clock that was set ahead, until it is set back and stays there', () => {
    const bench = new Bench();
    expect(bench.set(T0 + YEAR)).toBe('jumped');
    expect(bench.pass(DAY)).toBe('jumped');
    expect(bench.set(T0 + DAY)).toBe('jumped');
    expect(bench.pass(SETTLE_MS - 1)).toBe('jumped');
    expect(bench.pass(1)).toBe('floor');
    expect(bench.ladder.grounds).toBe('clock_returned');
    expect(bench.floor).toBeLessThan(T0 + 2 * DAY);
  });

  it('starts the wait anew each time the clock leaves again', () => {
    const bench = new Bench();
    bench.set(T0 + YEAR);
    for (let flap = 0; flap < 5; flap++) {
      expect(bench.set(bench.wall - YEAR)).toBe('jumped');
      expect(bench.pass(SETTLE_MS - 1)).toBe('jumped');
      expect(bench.set(bench.wall + YEAR)).toBe('jumped');
    }
  });

  it('doubts a clock that was set back, and does not take a third one for right', () => {
    const bench = new Bench();
    bench.pass(DAY);
    expect(bench.set(T0)).toBe('behind_floor');
    expect(bench.set(T0 + DAY + 3 * HOUR)).toBe('jumped');
    bench.set(T0 + DAY);
    expect(bench.settle()).toBe('floor');
  });

  it('bears one step within the tolerance, and not many in a row', () => {
    const bench = new Bench();
    expect(bench.set(bench.wall - TOLERANCE_MS + 1)).toBe('floor');
    bench.pass(1_000);
    expect(bench.set(bench.wall - TOLERANCE_MS + 1)).toBe('jumped');
  });

  it('follows a clock that creeps as slowly as leap seconds and time daemons make it', () => {
    const bench = new Bench();
    for (let day = 0; day < 1_000; day++) {
      bench.set(bench.wall - 1_000);
      expect(bench.pass(DAY)).toBe('floor');
    }
  });

  describe('with a signed statement', () => {
    const statement = (at: number, window = 20_000): OutsideTime => ({ source: 'statement', at, window });

    it('trusts a clock that agrees', () => {
      const bench = new Bench();
      expect(bench.hear(statement(T0 - 20_000))).toBe('trusted');
      expect(bench.pass(10 * DAY)).toBe('trusted');
      // Nobody knows how exactly the monotonic clock goes; after months that is too much for "trusted".
      expect(bench.pass(90 * DAY)).toBe('floor');
    });

    it('forgives whatever the clock did before, if it is right now', () => {
      const bench = new Bench();
      expect(bench.set(T0 + 3 * HOUR)).toBe('jumped');
      expect(bench.hear(statement(T0 + 3 * HOUR))).toBe('trusted');
      expect(bench.ladder.grounds).toBe('statement');
    });

    it('says that a clock is wrong which looked plausible, and trusts it once it was set', () => {
      const bench = new Bench({ wall: T0 + YEAR });
      expect(bench.look()).toBe('floor');
      expect(bench.hear(statement(T0))).toBe('contradicted');
      expect(bench.set(T0 + 5 * MINUTE)).toBe('contradicted');
      expect(bench.set(T0)).toBe('trusted');
    });

    it('lowers the floor', () => {
      const bench = new Bench({ floor: T0 + YEAR });
      expect(bench.look()).toBe('behind_floor');
      expect(bench.hear(statement(T0))).toBe('trusted');
      expect(bench.floor).toBe(T0);
    });

    it('raises the floor', () => {
      const bench = new Bench();
      expect(bench.hear(statement(T0 + YEAR))).toBe('behind_floor');
      expect(bench.set(T0 + YEAR)).toBe('trusted');
    });

    it('that took hours to arrive says what it is at least, not more', () => {
      const bench = new Bench();
      bench.set(T0 + 3 * HOUR);
      expect(bench.hear(statement(T0, 4 * HOUR))).toBe('floor');
      expect(bench.set(T0 + 9 * HOUR)).toBe('jumped');
    });

    it('is believed over one of before', () => {
      const bench = new Bench();
      bench.hear(statement(T0));
      expect(bench.hear(statement(T0 + DAY))).toBe('behind_floor');
      expect(bench.hear(statement(T0))).toBe('trusted');
    });
  });

  describe('with a newly signed policy', () => {
    const policy = (at: number): OutsideTime => ({ source: 'policy', at, window: null });

    it('believes a clock that was set to shortly after its issue', () => {
      const bench = new Bench();
      bench.set(T0 + 30 * DAY);
      expect(bench.hear(policy(T0 + 30 * DAY - HOUR))).toBe('floor');
      expect(bench.ladder.grounds).toBe('policy');
    });

    it('does not believe one that was set to long after it, or before it', () => {
      const bench = new Bench();
      bench.set(T0 + 30 * DAY);
      expect(bench.hear(policy(T0 - DAY))).toBe('jumped');
      expect(bench.hear(policy(T0 + 31 * DAY))).toBe('behind_floor');
    });

    it('believes one that was set right where the policy shows that it was wrong before', () => {
      const bench = new Bench();
      expect(bench.set(T0 + 30 * DAY)).toBe('jumped');
      expect(bench.hear(policy(T0 + 20 * DAY))).toBe('floor');
      expect(bench.ladder.grounds).toBe('clock_set');
    });

    it('shows that a clock is slow, and takes the next one that is not', () => {
      const bench = new Bench();
      expect(bench.hear(policy(T0 + HOUR))).toBe('behind_floor');
      expect(bench.set(T0 + 2 * HOUR)).toBe('floor');
    });

    it('never lowers the floor', () => {
      const bench = new Bench();
      const before = bench.floor;
      bench.hear(policy(0));
      expect(bench.floor).toBe(before);
    });
  });

  describe('with a kernel that policy believes', () => {
    it('trusts the clock while the kernel calls it synchronized', () => {
      const bench = new Bench();
      bench.kernel = true;
      expect(bench.look()).toBe('trusted');
      bench.kernel = false;
      expect(bench.look()).toBe('floor');
    });

    it('believes a time daemon that set the clock, but not behind the floor', () => {
      const bench = new Bench();
      bench.kernel = true;
      expect(bench.set(T0 + 3 * HOUR)).toBe('trusted');
      expect(bench.set(0)).toBe('behind_floor');
    });

    it('believes a person more', () => {
      const bench = new Bench();
      bench.hear({ source: 'statement', at: T0, window: 0 });
      bench.kernel = true;
      expect(bench.set(T0 + HOUR)).toBe('jumped');
    });
  });
});

/** Anything that can happen to a site's clocks. */
const happening = fc.oneof(
  fc.record({ pass: fc.integer({ min: 0, max: YEAR }) }),
  fc.record({ set: fc.integer({ min: 0, max: T0 + 5 * YEAR }) }),
  fc.record({ kernel: fc.boolean() }),
  fc.record({
    hear: fc.record({
      source: fc.constantFrom('policy' as const, 'cosignature' as const),
      at: fc.integer({ min: 0, max: T0 + YEAR }),
      window: fc.option(fc.integer({ min: 0, max: DAY })),
    }),
  }),
);

function happen(bench: Bench, what: object): number {
  if ('pass' in what) bench.pass(Number(what.pass));
  else if ('set' in what) bench.set(Number(what.set));
  else if ('kernel' in what) bench.kernel = what.kernel === true;
  else if ('hear' in what) {
    bench.hear(what.hear as OutsideTime);
    return (what.hear as OutsideTime).at;
  }
  return Number.NEGATIVE_INFINITY;
}

describe('whatever happens to the clocks', () => {
  it('the floor never falls without a statement, and never rises faster than time passed or evidence says', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 40 }), (events) => {
        const bench = new Bench();
        let bound = bench.floor;
        for (const what of events) {
          const [floor, monotonic] = [bench.floor, bench.monotonic];
          const evidence = happen(bench, what);
          bound = Math.max(bound + bench.monotonic - monotonic, evidence);
          expect(bench.floor).toBeGreaterThanOrEqual(floor);
          expect(bench.floor).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });

  it('a clock is believed only where it can be right: not before the floor, and within what was said', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 40 }), (events) => {
        const bench = new Bench();
        for (const what of events) {
          happen(bench, what);
          if (bench.look() === bench.ladder.doubt) continue;
          expect(bench.wall + TOLERANCE_MS).toBeGreaterThanOrEqual(bench.floor);
          const { outside } = bench.ladder;
          if (outside === null) continue;
          const passed = bench.monotonic - outside.monotonic;
          expect(bench.wall).toBeGreaterThanOrEqual(outside.at + passed - TOLERANCE_MS);
          const most = outside.at + passed + outside.window + passed * 100e-6 + TOLERANCE_MS;
          expect(bench.wall).toBeLessThanOrEqual(most);
        }
      }),
    );
  });

  it('a look more changes nothing', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 20 }), (events) => {
        const bench = new Bench();
        for (const what of events) happen(bench, what);
        bench.look();
        const before = bench.ladder;
        bench.look();
        expect(bench.ladder).toEqual(before);
      }),
    );
  });
});
