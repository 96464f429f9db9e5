import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GrantState, grantState } from '../../daemon/engine/grants.ts';
import { TimeKeeper } from '../../daemon/engine/time.ts';
import { CHALLENGE_TTL_MS, Challenges } from '../../daemon/engine/time-challenges.ts';
import { Timeline } from '../../daemon/engine/timeline.ts';
import { ManualClock, START } from './fixture.ts';

const YEAR = 365 * 86_400_000;

describe('the timeline', () => {
  it('tells by which setting of the clock an entry was recorded', () => {
    const timeline = new Timeline();
    timeline.follow(10, 1_000_000);
    timeline.follow(15, 1_000_400);
    expect(timeline.isPlain).toBe(true);
    timeline.follow(20, 5_000_000);
    expect([9, 10, 19, 20, 99].map((index) => timeline.offsetAt(index))).toEqual([
      null,
      1_000_000,
      1_000_000,
      5_000_000,
      5_000_000,
    ]);
    expect(timeline.latest(7)).toBe(5_000_007);
  });

  it('takes no notice of settings by which nothing was recorded', () => {
    const timeline = new Timeline();
    timeline.follow(10, 0);
    timeline.follow(20, 1_000_000);
    timeline.follow(20, 2_000_000);
    expect(timeline.stretches).toEqual([
      { from: 10, offset: 0 },
      { from: 20, offset: 2_000_000 },
    ]);
  });

  it('forgets the oldest settings of a clock that is set all the time', () => {
    const timeline = new Timeline();
    for (let index = 0; index < 1_000; index++) timeline.follow(index, index * 10_000);
    expect(timeline.stretches.length).toBe(256);
    expect(timeline.offsetAt(1)).toBeNull();
    expect(timeline.offsetAt(999)).toBe(9_990_000);
  });
});

/** Hours pass, somebody sets the clock, or something is granted. */
const event = fc.oneof(
  fc.record({ pass: fc.integer({ min: 0, max: 20_000_000 }) }),
  fc.record({ set: fc.integer({ min: 0, max: START + YEAR }) }),
  fc.record({ ttl: fc.integer({ min: 1, max: 20_000_000 }) }),
);

interface Given {
  index: number;
  expires_at: number;
  time_trust: 'trusted' | 'floor' | 'uncertain';
  until: number;
}

describe('a grant of this boot', () => {
  it('lasts as long as it was granted for, whatever is done to the wall clock', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const clock = new ManualClock();
        const time = new TimeKeeper(clock, START);
        let size = 7;
        time.watch(() => size);
        const given: Given[] = [];
        for (const what of events) {
          if ('pass' in what) clock.pass(what.pass);
          if ('set' in what) clock.wall = what.set;
          const now = time.read();
          if ('ttl' in what) {
            const { trust: time_trust } = now;
            given.push({
              index: size++,
              expires_at: now.now + what.ttl,
              time_trust,
              until: clock.mono + what.ttl,
            });
          }
          for (const grant of given) {
            const left = grant.until - clock.mono;
            // A clock that is set by less than a second is the same clock.
            if (Math.abs(left) < 1_000) continue;
            const wanted: GrantState = left > 0 ? 'valid' : 'over';
            expect(grantState({ time }, now, grant)).toBe(wanted);
          }
        }
      }),
    );
  });
});

describe('challenges', () => {
  const random = (n: number) => new Uint8Array(32).fill(n);

  it('tell how old the answer can be, and run out', () => {
    const challenges = new Challenges();
    const drawn = challenges.draw(random(1), 1_000);
    expect(challenges.ageOf(drawn, 4_000)).toBe(3_000);
    expect(challenges.ageOf(drawn, 1_000 + CHALLENGE_TTL_MS)).toBe(CHALLENGE_TTL_MS);
    expect(challenges.ageOf(drawn, 1_001 + CHALLENGE_TTL_MS)).toBeNull();
    expect(challenges.ageOf('00'.repeat(32), 1_000)).toBeNull();
  });

  it('are kept in bounds, the newest of them', () => {
    const challenges = new Challenges();
    const drawn = Array.from({ length: 256 }, (_, n) => challenges.draw(random(n), n));
    expect(challenges.ageOf(drawn[0] ?? '', 500)).toBe(500);
    challenges.draw(
      new Uint8Array(32).map((_, at) => at),
      400,
    );
    expect(challenges.ageOf(drawn[0] ?? '', 500)).toBeNull();
    expect(challenges.ageOf(drawn[1] ?? '', 500)).toBe(499);
  });
});

describe('a cosigned checkpoint', () => {
  it('is at most as old as the ledger has had its size', () => {
    const clock = new ManualClock();
    const time = new TimeKeeper(clock, START);
    let size = 10;
    time.watch(() => size);
    time.tend(false);
    clock.pass(60_000);
    size = 12;
    time.tend(false);
    clock.pass(5_000);
    expect(time.ageOfSize(11)).toBe(65_000);
    expect(time.ageOfSize(12)).toBe(65_000);
    size = 13;
    expect(time.ageOfSize(13)).toBe(5_000);
    expect(time.ageOfSize(10)).toBeNull();
    expect(time.ageOfSize(14)).toBeNull();
  });

  it('is told in a bounded number of samples', () => {
    const clock = new ManualClock();
    const time = new TimeKeeper(clock, START);
    let size = 0;
    time.watch(() => size);
    for (; size < 2_000; size++) {
      time.tend(false);
      clock.pass(1_000);
    }
    const age = time.ageOfSize(1_990) ?? 0;
    expect(age).toBeGreaterThanOrEqual(10_000);
    expect(age).toBeLessThan(15_000);
    expect(time.ageOfSize(100)).toBeGreaterThanOrEqual(1_900_000);
  });
});
