import { describe, expect, it } from 'vitest';
import { judgeAnchors } from '../../daemon/commands/anchor-judgement.ts';
import { renderVerdict } from '../../daemon/commands/render/anchor.ts';
import { parseAnchor } from '../../daemon/formats/anchor.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import { keysOfLogs, type LogLineage } from '../../daemon/formats/log-keys.ts';
import { MutableLog, ORIGIN } from '../core/anchor-log.ts';

const NEXT = `${ORIGIN}/2`;
const stranger = new MutableLog([], new Uint8Array(32).fill(9));

function trusting(logs: LogLineage[]) {
  return { origin: logs.at(-1)?.origin ?? ORIGIN, vkeys: keysOfLogs(logs), logs };
}

const one = (log: MutableLog, until: number | null = null) =>
  trusting([{ origin: ORIGIN, keys: [{ vkey: log.vkey, from: 0, until }] }]);
const pile = (log: MutableLog, sizes: number[]) => ({ anchors: log.chain(sizes), unreadable: [] });
const words = (verdict: ReturnType<typeof judgeAnchors>) =>
  renderVerdict(verdict, null).replaceAll(/\s+/g, ' ');

describe('anchors and the keys of a log', () => {
  it('count for nothing when the key had been rotated out', () => {
    const log = MutableLog.of(30);
    expect(judgeAnchors(pile(log, [4, 10]), one(log, 10), null).code).toBe(0);
    const late = judgeAnchors(pile(log, [4, 10, 11]), one(log, 10), null);
    expect(late).toMatchObject({ code: 13, refused: [{ code: 13, from: 'a/11' }] });
    expect(words(late)).toContain('a/11 counts for nothing');
  });

  it('of another log than the trust file names are refused, whoever signed', () => {
    const verdict = judgeAnchors(pile(stranger.fork().grow(5), [3]), one(MutableLog.of(1)), null);
    expect(verdict).toMatchObject({ code: 13, logs: [], refused: [{ code: 13 }] });
  });

  it('with a signature that does not hold are told from those of strangers', () => {
    const log = MutableLog.of(8);
    const [first] = log.chain([8]);
    const checkpoint = (first?.anchor.checkpoint ?? '').replace('\n8\n', '\n9\n');
    const anchor = parseAnchor(`old 0\n\n${checkpoint}`);
    const verdict = judgeAnchors({ anchors: [{ from: 'x', anchor }], unreadable: [] }, one(log), null);
    expect(verdict).toMatchObject({ code: 10, refused: [{ code: 10, from: 'x' }] });
  });
});

describe('a ledger that another is compared with', () => {
  const log = MutableLog.of(12);
  const tree = {
    ...{ path: 'x.sqlite', size: log.size, close: () => {} },
    rootAt: (size: number) => log.rootAt(size),
    proofBetween: (old: number, size: number) => log.proofBetween(old, size),
  };
  const good = { code: 0 as const, entries: 12, checkpoint: null, findings: [], total: 0 };
  const finding = {
    code: 10 as const,
    what: 'entry' as const,
    where: 'entries[3]',
    detail: 'it was changed',
    index: 3,
  };
  const bad = { ...good, code: 10 as const, findings: [finding], total: 1 };
  const against = (other: typeof bad | typeof good, otherTree: typeof tree | null) =>
    judgeAnchors(pile(log, [5, 12]), one(log), {
      ...{ path: 'x.sqlite', origin: ORIGIN, report: good, tree },
      against: { path: 'y.sqlite', report: other, tree: otherTree },
    });

  it('is verified by itself: entries can be others than its tree says', () => {
    expect(against(good, tree)).toMatchObject({ code: 0, ledger: { difference: { index: null } } });
    const verdict = against(bad, tree);
    expect(verdict.code).toBe(10);
    expect(words(verdict)).toMatch(/^TAMPERED .*y.sqlite itself does not verify: entry 3: it was changed/);
    expect(words(against(bad, null))).not.toContain('same history, as far as');
  });

  it('is told, where it cannot be read at all', () => {
    const broken = {
      ...tree,
      rootAt: () => {
        throw new Error('disk image is malformed');
      },
    };
    expect(against(bad, broken)).toMatchObject({ code: 10, ledger: { against: { report: bad } } });
    expect(() => against(good, broken)).toThrow('malformed');
  });
});

describe('anchors of a log that was left behind by a restore', () => {
  const log = MutableLog.of(40);
  const closedAt = (size: number, root = toHex(log.rootAt(size))) =>
    trusting([
      { origin: ORIGIN, keys: [{ vkey: log.vkey, from: 0, until: null }] },
      {
        origin: NEXT,
        keys: [{ vkey: stranger.vkey, from: 0, until: null }],
        succeeds: { origin: ORIGIN, size, root },
      },
    ]);

  it('are fine up to where it was closed', () => {
    const verdict = judgeAnchors(pile(log, [10, 25]), closedAt(25), null);
    expect(verdict).toMatchObject({ code: 0, logs: [{ closed: { size: 25, by: NEXT, lost: null } }] });
    expect(words(verdict)).toContain(`closed at 25 entries and goes on as ${NEXT}`);
  });

  it('are not linked while nothing shows that it was closed with their history', () => {
    const other = log.fork();
    other.entries[12] = 'another story';
    for (const root of [log.rootAt(25), other.rootAt(25)]) {
      const verdict = judgeAnchors(pile(log, [10, 19]), closedAt(25, toHex(root)), null);
      expect(verdict).toMatchObject({
        code: 12,
        logs: [{ closed: { lost: null, other: [], linked: false } }],
      });
      expect(words(verdict)).toMatch(/^NOT LINKED.* with which it was closed continues these/);
    }
  });

  it('are linked by a later one that proves it', () => {
    // The proof from 25 on says what the first 25 entries hash to, and that from 10 on what these continue.
    const linking = [...pile(log, [10, 25, 33]).anchors, ...log.chain([19, 25], 'b')];
    const verdict = judgeAnchors({ anchors: linking, unreadable: [] }, closedAt(25), null);
    expect(verdict).toMatchObject({ code: 14, logs: [{ closed: { linked: true, lost: { size: 33 } } }] });
  });

  it('are held against the ledger of that log, and of no other', () => {
    const other = log.fork();
    other.entries[12] = 'another story';
    const report = { code: 0 as const, entries: 25, checkpoint: null, findings: [], total: 0 };
    const atHand = (origin: string, of: MutableLog, size: number) => ({
      ...{ path: `${origin}.sqlite`, origin, report, against: null },
      tree: {
        ...{ path: `${origin}.sqlite`, size, close: () => {} },
        rootAt: (at: number) => of.rootAt(at),
        proofBetween: (old: number, at: number) => of.proofBetween(old, at),
      },
    });
    const newer = atHand(NEXT, stranger.fork().grow(5), 5);
    const old = pile(log, [10, 19]);
    expect(judgeAnchors(old, closedAt(25), newer)).toMatchObject({ code: 12, logs: [{ comparison: null }] });
    const good = judgeAnchors(old, closedAt(25), newer, [atHand(ORIGIN, log, 25)]);
    expect(good).toMatchObject({
      code: 0,
      logs: [{ heldAgainst: { path: `${ORIGIN}.sqlite`, entries: 25 } }],
    });
    const bad = judgeAnchors(old, closedAt(25), newer, [atHand(ORIGIN, other, 25)]);
    expect(bad).toMatchObject({ code: 10, logs: [{ comparison: { agree: 10, diverges: { from: 12 } } }] });
    expect(words(bad)).toContain('DIVERGES');
    const wrong = judgeAnchors(old, one(log), newer);
    expect(wrong).toMatchObject({ code: 12, logs: [{ beside: NEXT, heldAgainst: null }] });
    expect(words(wrong)).toContain(`held against no ledger: the one at hand is of ${NEXT}`);
  });

  it('say what was lost', () => {
    const verdict = judgeAnchors(pile(log, [10, 33]), closedAt(25), null);
    expect(verdict).toMatchObject({ code: 14, logs: [{ closed: { lost: { size: 33 } } }] });
    expect(words(verdict)).toContain('at least 8 entries were lost in the restore');
  });

  it('say when something else was restored', () => {
    const verdict = judgeAnchors(pile(log, [25]), closedAt(25, toHex(log.rootAt(24))), null);
    expect(verdict).toMatchObject({ code: 10, logs: [{ closed: { other: ['a/25'] } }] });
  });
});
