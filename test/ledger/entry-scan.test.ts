import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEntry, type Entry, encodeEntry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { scanEntry as scanBytes } from '../../daemon/ledger/entry-scan.ts';

const TYPES = new Set(['decision.denied', 'permit.outcome']);

const ENTRY: Entry = {
  v: 1,
  site: 'outpost-7.example',
  type: 'permit.outcome',
  at: '2026-02-03T04:05:06.789Z',
  time_trust: 'floor',
  stream: 'dec_0190',
  seq: 3,
  prev: 'a'.repeat(64),
  actor: { id: 'agent:ops-1', role: null },
  data: { a: [1, -2.5, 1e21, true, false, null, {}, []], b: { c: 'text', ca: 'é', d: '' } },
};

function textOf(entry: Entry): string {
  return Buffer.from(encodeEntry(entry)).toString();
}

/** Scanned where other bytes stand around it, as entries stand in a ring. */
function scanEntry(text: string, types: ReadonlySet<string>): ReturnType<typeof scanBytes> {
  const bytes = Buffer.from(text);
  const framed = Buffer.concat([Buffer.from('{"a":"'), bytes, Buffer.from('"}')]);
  const scanned = scanBytes(framed, 6, 6 + bytes.length, types);
  expect(scanBytes(bytes, 0, bytes.length, types)).toEqual(scanned);
  return scanned;
}

function decodes(text: string): Entry | null {
  try {
    return decodeEntry(Buffer.from(text));
  } catch {
    return null;
  }
}

const DATA = fc.dictionary(
  fc.string({ maxLength: 8 }),
  fc.jsonValue({ maxDepth: 4 }),
) as fc.Arbitrary<JsonObject>;

describe('scanning an entry', () => {
  test('yields its link', () => {
    expect(scanEntry(textOf(ENTRY), TYPES)).toEqual({
      site: ENTRY.site,
      stream: ENTRY.stream,
      seq: 3,
      prev: ENTRY.prev,
      grant: null,
    });
    const first = { ...ENTRY, seq: 0, prev: null };
    expect(scanEntry(textOf(first), TYPES)).toMatchObject({ seq: 0, prev: null });
  });

  test('shows an ordinary entry, so that the careful way stays rare', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme-ascii' }), fc.integer()), (data) => {
        const plain = Object.keys(data).every((key) => !/["\\]/.test(key));
        fc.pre(plain);
        return scanEntry(textOf({ ...ENTRY, data }), TYPES) !== null;
      }),
    );
  });

  test('never accepts what the decoder refuses, nor reads it otherwise', () => {
    const corpus = fc.record({
      data: DATA,
      at: fc.nat(),
      unit: fc.string({ unit: 'binary', minLength: 0, maxLength: 2 }),
    });
    fc.assert(
      fc.property(corpus, fc.nat({ max: 3 }), ({ data, at, unit }, cut) => {
        const text = textOf({ ...ENTRY, data });
        const place = at % text.length;
        const mutated = text.slice(0, place) + unit + text.slice(place + cut);
        const link = scanEntry(mutated, TYPES);
        if (link === null) return;
        const { grant: _, ...shown } = link;
        expect(decodes(mutated)).toMatchObject(shown);
      }),
      { numRuns: 3_000 },
    );
  });

  test('never accepts a single changed byte that the decoder refuses', () => {
    const text = textOf(ENTRY);
    for (let at = 0; at < text.length; at++) {
      for (const unit of [
        '',
        ' ',
        '"',
        '\\',
        '0',
        '1',
        '-',
        '.',
        'e',
        'z',
        'A',
        ',',
        ':',
        '{',
        '}',
        '[',
        ']',
        '\u0000',
      ]) {
        const mutated = text.slice(0, at) + unit + text.slice(at + 1);
        if (scanEntry(mutated, TYPES) !== null) expect(decodes(mutated), mutated).not.toBeNull();
      }
    }
  });

  test.each([
    ['members out of order', '{"b":1,"a":2}'],
    ['a member twice', '{"a":1,"a":2}'],
    ['a prefix after its extension', '{"ab":1,"a":2}'],
    ['white space', '{"a": 1}'],
    ['a long number', '{"a":1.0}'],
    ['minus zero', '{"a":-0}'],
    ['a leading zero', '{"a":01}'],
    ['a plus sign', '{"a":1e+3}'],
    ['an escape', '{"a":"\\u0061"}'],
    ['a trailing comma', '{"a":1,}'],
    ['an unclosed array', '{"a":[1}'],
  ])('refuses %s', (_, data) => {
    const text = textOf(ENTRY).replace(/"data":.*,"prev"/, `"data":${data},"prev"`);
    expect(scanEntry(text, TYPES)).toBeNull();
    expect(decodes(text)).toBeNull();
  });

  test.each([
    ['an unknown type', { type: 'system.heartbeat' as const }],
    ['a date late in a month', { at: '2026-02-28T00:00:00.000Z'.replace('28', '31') }],
    ['a number without predecessor', { prev: null }],
    ['a first entry with one', { seq: 0 }],
    ['an empty site', { site: '' }],
    ['a long stream', { stream: 'x'.repeat(256) }],
  ])('does not decide about %s', (_, change) => {
    expect(scanEntry(textOf({ ...ENTRY, ...change }), TYPES)).toBeNull();
  });

  test('leaves what is too deep or too long to the decoder', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(30)}1${'}'.repeat(30)}`) as JsonObject;
    expect(scanEntry(textOf({ ...ENTRY, data: deep }), TYPES)).toBeNull();
    expect(scanEntry(textOf({ ...ENTRY, data: { a: 'x'.repeat(22_000) } }), TYPES)).toBeNull();
  });
});
