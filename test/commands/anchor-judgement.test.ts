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
