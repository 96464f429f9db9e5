import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { followLog, type SeenHead, witnessWords } from '../../daemon/core/witness.ts';
import { FakeLog } from '../fake-log.ts';

const seenAt = (log: FakeLog, size: number): SeenHead => ({ size, root: log.root(size) });
const pile = (log: FakeLog, ...links: [number, number][]) =>
  links.map(([old, size]) => ({ from: `${old}-${size}`, anchor: log.anchor(old, size) }));

const log = new FakeLog().grow(64);

describe('a witness that follows a log', () => {
  it('goes along the chain from what it saw to the newest tree', () => {
    const links = pile(log, [12, 40], [0, 5], [5, 12]);
    expect(followLog(seenAt(log, 5), links)).toMatchObject({
      outcome: 'cosign',
      size: 40,
      steps: [5, 12, 40],
      gap: null,
    });
    expect(followLog(null, links)).toMatchObject({ outcome: 'cosign', size: 40, steps: [0, 5, 12, 40] });
  });

  it('cosigns the same tree again', () => {
    expect(followLog(seenAt(log, 12), pile(log, [5, 12]))).toMatchObject({
      outcome: 'cosign',
      size: 12,
      steps: [12],
    });
  });

  it('refuses what is older than what it saw', () => {
    expect(followLog(seenAt(log, 13), pile(log, [0, 5], [5, 12]))).toEqual({
      outcome: 'behind',
      size: 12,
      seen: 13,
    });
  });

  it('goes as far as there are proofs, and says what is missing', () => {
    const links = pile(log, [5, 12], [20, 40]);
    expect(followLog(seenAt(log, 5), links)).toMatchObject({ outcome: 'cosign', size: 12, gap: 40 });
    expect(followLog(seenAt(log, 12), pile(log, [20, 40]))).toEqual({
      outcome: 'unproven',
      need: 12,
      size: 40,
    });
    // Not even from a tree between two that it knows.
    expect(followLog(seenAt(log, 13), pile(log, [5, 12], [12, 40]))).toEqual({
      outcome: 'unproven',
      need: 13,
      size: 40,
    });
  });

  it('sees two trees of one size', () => {
    const fork = log.copy(3).grow(64, 'forged');
    const links = [...pile(log, [0, 12]), ...pile(fork, [0, 12])];
    expect(followLog(null, links)).toMatchObject({ outcome: 'split', size: 12 });
    expect(followLog(seenAt(log, 12), pile(fork, [0, 12]))).toMatchObject({ outcome: 'split', size: 12 });
    // A fork below what was seen shows where the true chain starts from it.
    const below = [...pile(log, [12, 40]), ...pile(fork, [0, 12])];
    expect(followLog(seenAt(log, 40), below)).toMatchObject({ outcome: 'inconsistent', old: 12, size: 40 });
  });

  it('sees a tree that does not continue another', () => {
    const fork = log.copy(3).grow(64, 'forged');
    expect(followLog(seenAt(log, 12), pile(fork, [12, 40]))).toMatchObject({
      outcome: 'inconsistent',
      old: 12,
      size: 40,
    });
    // Also where it is not on the way: whoever signed both is not to be followed.
    const elsewhere = [...pile(log, [12, 40], [0, 5]), ...pile(fork, [5, 30])];
    expect(followLog(seenAt(log, 12), elsewhere)).toMatchObject({
      outcome: 'inconsistent',
      old: 5,
      size: 30,
    });
  });

  it('never cosigns a tree that does not continue the one that it saw, whatever lies in the pile', () => {
    const forks = [log, log.copy(7).grow(64, 'a'), log.copy(20).grow(64, 'b'), new FakeLog().grow(64, 'c')];
    const link = fc.record({
      of: fc.nat({ max: 3 }),
      old: fc.nat({ max: 63 }),
      add: fc.integer({ min: 0, max: 30 }),
    });
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 1, max: 60 })),
        fc.array(link, { minLength: 1, maxLength: 6 }),
        (at, links) => {
          const anchors = links.map(({ of, old, add }) => {
            const from = forks[of] as FakeLog;
            const size = Math.min(64, Math.max(1, old + add));
            return { from: 'x', anchor: from.anchor(Math.min(old, size), size) };
          });
          const followed = followLog(at === null ? null : seenAt(log, at), anchors);
          if (followed.outcome !== 'cosign') {
            expect(witnessWords(followed, log.origin)).toContain(log.origin);
            return;
          }
          if (at === null) return;
          expect(followed.size).toBeGreaterThanOrEqual(at);
          // Some log has both trees: that of the witness and the one that is cosigned.
          const both = forks.some(
            (one) =>
              Buffer.from(one.root(at)).equals(log.root(at)) &&
              Buffer.from(one.root(followed.size)).equals(followed.root),
          );
          expect(both).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
