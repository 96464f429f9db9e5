import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inline, instant, plain, rows, span, table } from '../../daemon/commands/render/text.ts';

describe('recorded text on a terminal', () => {
  it('cannot move the cursor, colour, reorder or hide anything', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(plain(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
    expect(plain('ok\u001b[2J\u001b]0;x\u0007')).toBe('ok\\u{1b}[2J\\u{1b}]0;x\\u{7}');
    expect(plain('pay \u202ealice\u2066')).toBe('pay \\u{202e}alice\\u{2066}');
  });

  it('leaves ordinary text of any language alone', () => {
    const text = 'Neustart – Pumpe №2 à l’étage, 中文, emoji 🚰';
    expect(plain(text)).toBe(text);
  });

  it('shows payloads on one line', () => {
    expect(inline({ note: 'a\nb\u009b' })).toBe('{"note":"a\\nb\\u{9b}"}');
  });
});

describe('layout', () => {
  it('aligns labels, keeps further lines under the text, and drops empty rows', () => {
    const text = rows([
      ['why', 'first\nsecond'],
      ['needs', ''],
      ['recorded', 'entry 4'],
    ]);
    expect(text).toBe('  why       first\n            second\n  recorded  entry 4');
  });

  it('aligns columns by their widest cell', () => {
    expect(table(['id', 'n'], [['aaa', '1']])).toBe('id   n\naaa  1');
  });

  it.each([
    [0, '0 ms'],
    [999, '1 s'],
    [1_000, '1 s'],
    [-90_000, '1 min 30 s'],
    [3_600_000, '1 h'],
    [7_500_000, '2 h 5 min'],
    [72 * 3_600_000, '3 days'],
  ])('%d ms is %s', (ms, words) => expect(span(ms)).toBe(words));

  it('tells how far away an instant is, and survives one that is none', () => {
    const now = Date.parse('2026-11-21T01:40:00.000Z');
    expect(instant('2026-11-21T01:44:00.000Z', now)).toBe('2026-11-21 01:44:00Z (in 4 min)');
    expect(instant('2026-11-20T01:40:00.000Z', now)).toBe('2026-11-20 01:40:00Z (24 h ago)');
    expect(instant('soon\u001b', now)).toBe('soon\\u{1b}');
    expect(instant(null, now)).toBe('');
  });
});
