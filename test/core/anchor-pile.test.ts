import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareWith, judgePile, type SignedAnchor } from '../../daemon/core/anchor-pile.ts';
import { parseAnchor } from '../../daemon/formats/anchor.ts';
import { MutableLog } from './anchor-log.ts';

const MOST = 48;
const increasing = fc
  .uniqueArray(fc.integer({ min: 1, max: MOST }), { minLength: 1, maxLength: 8 })
  .map((sizes) => sizes.sort((a, b) => a - b));
const runs = { numRuns: 60 };

describe('anchors of one history', () => {
  it('agree, in any order and however often', () => {
    fc.assert(
      fc.property(increasing, fc.infiniteStream(fc.nat()), (sizes, order) => {
        const chain = MutableLog.of(MOST).chain(sizes);
        const shuffled = [...chain, ...chain.slice(0, 3)]
          .map((one) => ({ one, at: order.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ one }) => one);
        const judged = judgePile(shuffled);
        expect(judged).toMatchObject({ fork: null, unproven: [], unlinked: [] });
        expect(judged.newest.size).toBe(sizes.at(-1));
        expect(judged.heads.map(({ size }) => size)).toEqual(sizes);
      }),
      runs,
    );
  });

  it('are continued by a ledger that only grew', () => {
    fc.assert(
      fc.property(increasing, fc.nat(9), (sizes, more) => {
        const log = MutableLog.of(MOST);
        const chain = log.chain(sizes);
        log.grow(more);
        expect(compareWith(log, chain)).toEqual({ agree: sizes.at(-1), diverges: null, ahead: null });
      }),
      runs,
    );
  });

  it('are not linked where one in between is missing, and are by a ledger', () => {
    const log = MutableLog.of(30);
    const [first, , third] = log.chain([4, 9, 20]) as [SignedAnchor, SignedAnchor, SignedAnchor];
    const judged = judgePile([third, first]);
    expect(judged.unlinked.map(({ size }) => size)).toEqual([4]);
    expect(judged).toMatchObject({ fork: null, unproven: [] });
    expect(compareWith(log, [first, third])).toMatchObject({ agree: 20, diverges: null });
  });

  it('say when the ledger ends before them', () => {
    fc.assert(
      fc.property(increasing, fc.integer({ min: 0, max: MOST }), (sizes, left) => {
        const log = MutableLog.of(MOST);
        const chain = log.chain(sizes);
        log.entries.length = left;
        const { agree, diverges, ahead } = compareWith(log, chain);
        const newest = sizes.at(-1) ?? 0;
        expect(diverges).toBeNull();
        expect(ahead?.size ?? null).toBe(newest > left ? newest : null);
        expect(agree).toBeLessThanOrEqual(left);
      }),
      runs,
    );
  });
});

describe('two histories', () => {
  it('are told by two heads of one size, with what both have in common', () => {
    const log = MutableLog.of(10);
    const other = log.fork();
    log.grow(6);
    other.grow(6, 'another');
    const judged = judgePile([...log.chain([4, 10, 16], 'a'), ...other.chain([4, 10, 16], 'b')]);
    expect(judged.fork).toEqual({ agree: 10, differ: 12, one: ['a/16'], other: ['b/16'] });
  });

  it('are told by what later heads imply of earlier ones, though no two have the same size', () => {
    const log = MutableLog.of(12);
    const other = log.fork();
    log.grow(10);
    other.entries[5] = 'changed';
    other.grow(13);
    // 11 is no power of two: the proof from it says what the first 11 entries hash to.
    const one = { from: 'one', anchor: parseAnchor(log.anchor(11, 20)) };
    const two = { from: 'two', anchor: parseAnchor(other.anchor(11, 25)) };
    expect(judgePile([one, two]).fork).toEqual({ agree: 0, differ: 11, one: ['one'], other: ['two'] });
  });

  it('are narrowed down by two proofs between the same sizes', () => {
    const log = MutableLog.of(40);
    const other = log.fork();
    other.entries[37] = 'changed';
    const judged = judgePile([...log.chain([5, 40], 'a'), ...other.chain([5, 40], 'b')]);
    expect(judged.fork).toEqual({ agree: 32, differ: 40, one: ['a/40'], other: ['b/40'] });
  });

  it('are found whichever entry was changed, and the interval holds it', () => {
    fc.assert(
      fc.property(fc.nat(MOST - 1), fc.integer({ min: 1, max: MOST - 1 }), (at, old) => {
        const log = MutableLog.of(MOST);
        const other = log.fork();
        other.entries[at] = 'changed';
        const { fork } = judgePile([...log.chain([old, MOST], 'a'), ...other.chain([old, MOST], 'b')]);
        expect(fork?.agree).toBeLessThanOrEqual(at);
        expect(fork?.differ).toBeGreaterThan(at);
      }),
      { numRuns: 100 },
    );
  });

  it('never agree with a ledger in which an entry was changed, dropped, inserted or moved', () => {
    const change = fc.constantFrom('edit', 'drop', 'insert', 'swap' as const);
    fc.assert(
      fc.property(increasing, fc.nat(MOST - 2), change, (sizes, at, how) => {
        const log = MutableLog.of(MOST);
        const chain = log.chain(sizes);
        const changed = log.fork();
        const [one = '', two = ''] = changed.entries.slice(at, at + 2);
        if (how === 'edit') changed.entries[at] = 'changed';
        else if (how === 'drop') changed.entries.splice(at, 1);
        else if (how === 'insert') changed.entries.splice(at, 0, 'inserted');
        else changed.entries.splice(at, 2, two, one);
        changed.grow(MOST - changed.size + 1);
        const newest = sizes.at(-1) ?? 0;
        const { agree, diverges } = compareWith(changed, chain);
        if (newest <= at) {
          expect([agree, diverges]).toEqual([newest, null]);
          return;
        }
        expect(agree).toBeLessThanOrEqual(at);
        expect(diverges?.from).toBeLessThanOrEqual(at);
        expect(diverges?.to).toBeGreaterThan(at);
        expect(diverges?.from).toBeGreaterThanOrEqual(agree);
      }),
      { numRuns: 200 },
    );
  });

  it('are narrowed down by the hashes in proofs', () => {
    const log = MutableLog.of(40);
    const changed = log.fork();
    changed.entries[37] = 'changed';
    expect(compareWith(changed, log.chain([5, 40])).diverges).toEqual({ from: 32, to: 40, files: ['a/40'] });
  });
});

describe('a pile of very many', () => {
  const copies = (anchors: SignedAnchor[], times: number) =>
    Array.from({ length: times }, (_, n) =>
      anchors.map((one) => ({ ...one, from: `${n}/${one.from}` })),
    ).flat();

  it('is held against a ledger', () => {
    const log = MutableLog.of(9);
    const known = new Map([5, 9].map((size) => [size, log.rootAt(size)]));
    const tree = {
      size: 9,
      rootAt: (size: number) => known.get(size) ?? log.rootAt(size),
      proofBetween: () => [],
    };
    expect(compareWith(tree, copies(log.chain([5, 9]), 45_000))).toEqual({
      agree: 9,
      diverges: null,
      ahead: null,
    });
  });

  it('of two histories is told so', () => {
    const [log, other] = [MutableLog.of(40), MutableLog.of(40)];
    other.entries[30] = 'another story';
    const pile = copies([...log.chain([9, 40], 'one'), ...other.chain([10, 40], 'other')], 4_000);
    expect(judgePile(pile).fork).toMatchObject({ differ: 40 });
  });
});

describe('a proof', () => {
  it('that does not add up is told, whatever was changed of it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: MOST - 1 }),
        fc.nat(400),
        fc.integer({ min: 1, max: 255 }),
        (old, at, flip) => {
          const log = MutableLog.of(MOST);
          const [first, second] = log.chain([old, MOST]) as [SignedAnchor, SignedAnchor];
          const proof = second.anchor.proof.map((hash) => Uint8Array.from(hash));
          const hash = proof[at % proof.length];
          if (hash !== undefined) hash[at % 32] = (hash[at % 32] ?? 0) ^ flip;
          const damaged = { ...second, anchor: { ...second.anchor, proof } };
          expect(judgePile([first, damaged]).unproven).toEqual([second.from]);
          const short = { ...second, anchor: { ...second.anchor, proof: proof.slice(1) } };
          expect(judgePile([first, short]).unproven).toEqual([second.from]);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('from a power of two is held against every head of that size', () => {
    const log = MutableLog.of(8);
    const other = log.fork();
    other.entries[2] = 'changed';
    log.grow(4);
    const judged = judgePile([
      { from: 'good', anchor: parseAnchor(log.anchor(0, 8)) },
      { from: 'bad', anchor: parseAnchor(other.anchor(0, 8)) },
      { from: 'later', anchor: parseAnchor(log.anchor(8, 12)) },
    ]);
    expect(judged).toMatchObject({ unproven: [], fork: { agree: 0, differ: 8 } });
  });
});
