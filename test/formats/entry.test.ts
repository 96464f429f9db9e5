import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import {
  decodeEntry,
  ENTRY_MAX_BYTES,
  type Entry,
  encodeEntry,
  entryHash,
} from '../../daemon/formats/entry.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { isTimestamp } from '../../daemon/formats/timestamp.ts';
import { codeOf } from '../codes.ts';

const ENTRY: Entry = {
  v: 1,
  site: 'outpost-7.example',
  type: 'decision.denied',
  at: '2026-11-21T08:00:00.000Z',
  time_trust: 'trusted',
  stream: 'dec_0199b1d2-0000-7000-8000-000000000001',
  seq: 0,
  prev: null,
  actor: { id: 'agent:ops-1', role: null },
  data: { transitions: ['draft', 'evaluated', 'denied'], gates: [{ gate: 'é"\\', result: 'fail' }] },
};

const well = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const anyEntry: fc.Arbitrary<Entry> = fc
  .record({
    site: well,
    stream: well,
    type: fc.constantFrom('approval.added' as const, 'system.started' as const),
    at: fc
      .date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    time_trust: fc.constantFrom('trusted' as const, 'floor' as const, 'uncertain' as const),
    seq: fc.nat(),
    actor: fc.record({ role: fc.option(well), id: fc.option(well) }),
    data: fc.dictionary(well, fc.jsonValue({ maxDepth: 3 })) as fc.Arbitrary<JsonObject>,
  })
  .map((parts) => ({ v: 1, prev: parts.seq === 0 ? null : sha256Hex(parts.at), ...parts }));

test('any entry: the bytes of the general canonicalizer, read back the same', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      fc.pre(!/\\ud[89a-f]/.test(JSON.stringify(entry)));
      const bytes = encodeEntry(entry);
      expect(bytes).toEqual(canonicalBytes(entry as unknown as JsonObject));
      // Through JSON, because -0 becomes 0 there as in the bytes.
      expect(decodeEntry(bytes)).toEqual(JSON.parse(JSON.stringify(entry)));
      expect(entryHash(bytes)).toBe(sha256Hex(bytes));
    }),
    { numRuns: 300 },
  );
});

test('the largest entry fits, one byte more does not', () => {
  const overhead = encodeEntry({ ...ENTRY, data: { x: '' } }).length;
  const filled = (length: number) => ({ ...ENTRY, data: { x: 'a'.repeat(length) } });
  const largest = encodeEntry(filled(ENTRY_MAX_BYTES - overhead));
  expect(largest).toHaveLength(ENTRY_MAX_BYTES);
  expect(decodeEntry(largest).seq).toBe(0);
  expect(codeOf(() => encodeEntry(filled(ENTRY_MAX_BYTES - overhead + 1)))).toBe('entry.too_large');
  expect(codeOf(() => decodeEntry(new Uint8Array(ENTRY_MAX_BYTES + 1)))).toBe('entry.too_large');
});

describe('decodeEntry refuses', () => {
  const changes: [string, string, Record<string, Json>][] = [
    ['a later version', '/v', { v: 2 }],
    ['an unknown type', '/type', { type: 'decision.allowed' }],
    ['an inherited name as type', '/type', { type: 'toString' }],
    ['an empty site', '/site', { site: '' }],
    ['a long stream', '/stream', { stream: 's'.repeat(256) }],
    ['a time without milliseconds', '/at', { at: '2026-11-21T08:00:00Z' }],
    ['a time that does not exist', '/at', { at: '2026-02-30T08:00:00.000Z' }],
    ['another time zone', '/at', { at: '2026-11-21T08:00:00.000+01:00' }],
    ['an unknown trust', '/time_trust', { time_trust: 'yes' }],
    ['a negative position', '/seq', { seq: -1 }],
    ['a fractional position', '/seq', { seq: 0.5 }],
    ['a predecessor at the start', '/prev', { prev: 'a'.repeat(64) }],
    ['no predecessor later', '/prev', { seq: 1 }],
    ['an upper-case predecessor', '/prev', { seq: 1, prev: 'A'.repeat(64) }],
    ['an actor without role', '/actor', { actor: { id: null } }],
    ['an actor with more', '/actor', { actor: { id: null, role: null, x: 1 } }],
    ['a numeric actor', '/actor', { actor: { id: 1, role: null } }],
    ['data that is a list', '/data', { data: [] }],
    ['a further member', '', { extra: 1 }],
  ];
  test.each(changes)('%s', (_, at, change) => {
    const bytes = canonicalBytes({ ...(ENTRY as unknown as JsonObject), ...change });
    expect(() => decodeEntry(bytes)).toThrow(expect.objectContaining({ code: 'entry.shape', at }));
  });

  test('a missing member', () => {
    for (const name of Object.keys(ENTRY)) {
      const { [name]: _, ...rest } = ENTRY as unknown as JsonObject;
      expect(codeOf(() => decodeEntry(canonicalBytes(rest)))).toBe('entry.shape');
    }
  });

  test.each(['null', '[]', '1', '"x"'])('%s', (text) => {
    expect(codeOf(() => decodeEntry(new TextEncoder().encode(text)))).toBe('entry.shape');
  });

  test('the same entry, written otherwise', () => {
    const text = new TextDecoder().decode(encodeEntry(ENTRY));
    for (const other of [` ${text}`, `${text}\n`, text.replace(':', ': '), text.replace('{', '{"v":1,')]) {
      expect(codeOf(() => decodeEntry(new TextEncoder().encode(other)))).toBe('entry.not_canonical');
    }
  });
});

test('every prefix is refused; every changed byte is refused or is another entry', () => {
  const bytes = encodeEntry(ENTRY);
  for (let end = 0; end < bytes.length; end += 1) {
    expect(codeOf(() => decodeEntry(bytes.subarray(0, end)))).toBe('entry.not_canonical');
  }
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ change;
      try {
        expect(encodeEntry(decodeEntry(changed))).toEqual(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
      }
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['2026-11-21T08:00:00.000Z', true],
  ['2024-02-29T23:59:59.999Z', true],
  ['2025-02-29T00:00:00.000Z', false],
  ['2026-11-21T24:00:00.000Z', false],
  ['2026-11-21T08:00:00.000z', false],
  ['2026-11-21 08:00:00.000Z', false],
  ['2026-11-21T08:00:00.000Z\n', false],
  [1, false],
  [null, false],
])('isTimestamp(%j) is %j', (value, expected) => {
  expect(isTimestamp(value)).toBe(expected);
});
