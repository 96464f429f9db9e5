import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escaped, html, Safe } from '../../daemon/evidence/html.ts';

describe('a page', () => {
  it('takes everything for text, wherever it stands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const page = html`<p title="${text}">${text}</p>`.text;
        const inside = page.slice('<p title="'.length, -'</p>'.length);
        expect(inside.split('">')).toHaveLength(2);
        expect(inside.replace('">', '')).not.toMatch(/[<>"'`]/);
      }),
    );
  });

  it('shows what would be invisible, or would turn the text around', () => {
    expect(escaped('gnp.\u202eexe\u200b\u0007')).toBe('gnp.\\u{202e}exe\\u{200b}\\u{7}');
    expect(escaped('two\nlines')).toBe('two\nlines');
  });

  it('keeps what is HTML already, and only that', () => {
    expect(html`${html`<b>${'<i>'}</b>`}${['<', html`<br>`]}${null}${7}`.text).toBe(
      '<b>&lt;i&gt;</b>&lt;<br>7',
    );
    expect(html`${new Safe('<hr>')}`.text).toBe('<hr>');
    expect(html`${{ toString: () => '<x>' } as unknown as string}`.text).toBe('&lt;x&gt;');
  });
});
