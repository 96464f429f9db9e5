import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MASK, maskEntry, maskPayload } from '../../daemon/core/masked.ts';
import { fieldsOf, indexTerms, matchesQuery, queryTerms, wordsOf } from '../../daemon/core/search.ts';
import { formatCursor, parseCursor, parseSearch } from '../../daemon/core/search-request.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';

const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 40 }));

function decision(data: JsonObject, actor: string | null = 'agent:ops-1'): Entry {
  return {
    v: 1,
    site: 'outpost-7.example',
    type: 'decision.authorized',
    at: '2031-03-01T12:00:00.000Z',
    time_trust: 'floor',
    stream: 'dec_1',
    seq: 0,
    prev: null,
    actor: { id: actor, role: null },
    data,
  };
}

describe('terms', () => {
  it('are plain letters and digits, whatever anybody writes', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (intent, id, actor) => {
        const entry = decision(
          { action: { class: id, intent, target: { type: id, id: intent }, payload: {} }, transitions: [id] },
          actor,
        );
        for (const term of indexTerms(fieldsOf(entry))) expect(term).toMatch(/^[a-z0-9]{2,83}$/);
        const query = { words: wordsOf(intent), actor, target: id, result: id };
        for (const term of queryTerms(query)) expect(term).toMatch(/^[a-z0-9]{2,83}$/);
      }),
    );
  });

  it('of a query are among those of every entry that it matches', () => {
    fc.assert(
      fc.property(anyText, anyText, fc.string({ maxLength: 20 }), (intent, name, actor) => {
        const entry = decision(
          {
            action: { class: name, intent, target: { type: 'service', id: name }, payload: {} },
            context: { environment: name },
            transitions: ['evaluated', 'authorized'],
          },
          actor,
        );
        const fields = fieldsOf(entry);
        const query = {
          words: wordsOf(intent),
          actor,
          class: name,
          target: `service:${name}`,
          environment: name,
          result: 'authorized',
        };
        expect(matchesQuery(query, fields)).toBe(true);
        const terms = new Set(indexTerms(fields));
        expect(queryTerms(query).filter((term) => !terms.has(term))).toEqual([]);
      }),
    );
  });

  it('hold nothing of a payload, of a resolved call, or of evidence', () => {
    const hidden = 'verborgen';
    const entry = decision({
      action: { class: 'c', intent: 'seen', target: { type: 't', id: 'i' }, payload: { [hidden]: hidden } },
      call: { argv: ['/bin/echo', hidden] },
      permit: { call: { argv: [hidden] } },
      act: { reason: hidden, answer: 'approve' },
      signature: hidden,
      context: { labels: { [hidden]: hidden } },
    });
    const { words } = fieldsOf(entry);
    expect([...words].sort()).toEqual(['c', 'i', 'seen', 't']);
    expect(indexTerms(fieldsOf(entry)).join(' ')).not.toContain(hidden);
  });

  it('are found whatever the case and form of a word', () => {
    expect(wordsOf('Prüfe RELAIS-2, ﬁrst; Zu\u0308rich 東京')).toEqual([
      'prüfe',
      'relais',
      '2',
      'first',
      'zürich',
      '東京',
    ]);
  });
});

describe('what is asked for', () => {
  it.each([
    [{ q: '!!' }, 'q'],
    [{ q: Array.from({ length: 17 }, (_, n) => `w${n}`).join(' ') }, 'q'],
    [{ since: '2031-13-01T00:00:00Z' }, 'since'],
    [{ until: 'now' }, 'until'],
  ])('is refused when nobody could mean it: %o', (parameters, at) => {
    expect(() => parseSearch(parameters)).toThrow(expect.objectContaining({ code: 'search.malformed', at }));
  });

  it('names a place and an order by its cursor, and no other', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.boolean(), (at, newest) => {
        const index = at % 1e14;
        expect(parseCursor(formatCursor(index, newest), newest)).toBe(index);
        expect(() => parseCursor(formatCursor(index, newest), !newest)).toThrow();
      }),
    );
    for (const text of ['', 'n', 'n01', 'n-1', 'x1', 'n1 ', 'n1e3']) {
      expect(() => parseCursor(text, true)).toThrow();
    }
  });
});

describe('masks', () => {
  const values = fc.dictionary(
    fc.stringMatching(/^[a-z]{1,8}$/),
    fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
    { maxKeys: 5 },
  );

  it('leave the names of fields and no value', () => {
    fc.assert(
      fc.property(values, (payload) => {
        const masked = maskPayload({ ...payload, secret: 'hunter2' });
        expect(Object.keys(masked)).toEqual([...Object.keys({ ...payload, secret: 0 })]);
        for (const value of Object.values(masked)) expect(value).toEqual(MASK);
      }),
    );
  });

  it('leave what stands in a value’s place on record, and take calls away', () => {
    const marks = { pin: { $commitment: 'ab'.repeat(32) }, key: { $withheld: 'secrets.pattern' } };
    const action = { class: 'c', intent: 'i', target: null, payload: { ...marks, open: 5 } };
    const entry = decision({ action, call: { argv: ['x'] }, permit: { id: 'p', call: { argv: ['x'] } } });
    expect(maskEntry(entry).data).toEqual({
      action: { ...action, payload: { ...marks, open: MASK } },
      call: MASK,
      permit: { id: 'p', call: MASK },
    });
    const plain = decision({ action: { ...action, payload: {} } });
    expect(maskEntry(plain)).toBe(plain);
  });
});
