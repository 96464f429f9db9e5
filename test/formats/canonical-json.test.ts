import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { assertCanonical, canonicalBytes, canonicalText } from '../../daemon/formats/canonical-json.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();
const encode = (text: string) => new TextEncoder().encode(text);

describe.skipIf(dir === null)('RFC 8785 vectors', () => {
  const folder = join(dir ?? '', 'jcs-rfc8785');
  const names = dir === null ? [] : readdirSync(join(folder, 'input'));

  test('there are six', () => expect(names).toHaveLength(6));

  test.each(names)('%s', (name) => {
    const input = JSON.parse(readFileSync(join(folder, 'input', name), 'utf8')) as Json;
    const output = readFileSync(join(folder, 'output', name), 'utf8');
    const hex = readFileSync(join(folder, 'outhex', name.replace('.json', '.txt')), 'utf8').replaceAll(
      /\s/g,
      '',
    );
    expect(canonicalText(input)).toBe(output);
    expect(Buffer.from(canonicalBytes(input)).toString('hex')).toBe(hex);
    expect(assertCanonical(encode(output))).toEqual(input);
  });
});

/** The published generator of ES6 number test lines, up to `count`. */
function* numberLines(count: number): Generator<string> {
  const bits = new BigUint64Array(1);
  const value = new Float64Array(bits.buffer);
  const line = () => `${(bits[0] ?? 0n).toString(16)},${canonicalText(value[0] ?? Number.NaN)}\n`;
  let made = 0;
  for (const fixed of STATIC_NUMBERS) {
    bits[0] = fixed;
    yield line();
    made += 1;
  }
  for (let i = 0n; i < 2000n && made < count; i += 1n, made += 1) {
    bits[0] = 0x0010000000000000n + i;
    yield line();
  }
  let block = Buffer.alloc(32);
  while (made < count) {
    block = createHash('sha256').update(block).digest();
    for (let at = 0; at < 32 && made < count; at += 8) {
      value[0] = block.readDoubleLE(at);
      if (value[0] !== 0 && Number.isFinite(value[0])) {
        yield line();
        made += 1;
      }
    }
  }
}

/** The fixed cases, read from the vectors' own description so that they are not copied here. */
const STATIC_NUMBERS: readonly bigint[] =
  dir === null
    ? []
    : [
        ...(/staticU64s = new BigUint64Array\(\[([^\]]*)\]/
          .exec(readFileSync(join(dir, 'jcs-rfc8785/README.md'), 'utf8'))?.[1]
          ?.matchAll(/0x[0-9a-f]{16}/g) ?? []),
      ].map(([hex]) => BigInt(hex));

test.skipIf(dir === null).each([
  [1000, 'be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687'],
  [10_000, 'b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892'],
])('the first %i published ES6 numbers print as published', (count, digest) => {
  const hash = createHash('sha256');
  for (const line of numberLines(count)) {
    hash.update(line);
  }
  expect(hash.digest('hex')).toBe(digest);
});

test('any value: same as the canonicalize library, canonical, and stable', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (input) => {
      const value = input as Json;
      fc.pre(canonicalizable(value));
      const text = canonicalText(value);
      expect(text).toBe(canonicalize(value));
      expect(canonicalText(assertCanonical(encode(text)))).toBe(text);
    }),
    { numRuns: 500 },
  );
});

test('keys order by UTF-16 code units, integer-like keys included', () => {
  const text = canonicalText({ '\ufb33': 1, '😀': 2, é: 3, '10': 4, '9': 5, '': 6, '\r': 7 });
  expect(text).toBe('{"":6,"\\r":7,"10":4,"9":5,"é":3,"😀":2,"\ufb33":1}');
  expect(assertCanonical(encode(text))).toEqual(JSON.parse(text));
});

describe('canonicalText refuses what JSON cannot say', () => {
  test.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['undefined', undefined],
    ['a lone surrogate', '\ud800'],
    ['a lone surrogate in a key', { '\udfff': 1 }],
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['an undefined member', { a: undefined }],
    ['bigint', 1n],
    ['a function', () => 1],
  ])('%s', (_, value) => {
    expect(() => canonicalText(value as Json)).toThrow(TypeError);
  });
});

describe('assertCanonical refuses', () => {
  test.each([
    '{"b":1,"a":2}',
    '{"a":1 }',
    '{"a":1,"a":1}',
    '[1.0]',
    '[1e2]',
    '[-0]',
    '"\\u0041"',
    '"\\/"',
    '"\\ud800"',
    '"\\u001F"',
    '{"9":1,"10":2}',
    '\ufeff{}',
    '{}\n',
    '',
    'nul',
    '['.repeat(100) + ']'.repeat(100),
  ])('%j', (text) => {
    expect(() => assertCanonical(encode(text))).toThrow(
      expect.objectContaining({ name: 'BoundaryError', code: 'canonical.not_canonical' }),
    );
  });

  test('bytes that are not UTF-8', () => {
    expect(() => assertCanonical(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(BoundaryError);
  });
});

test('one changed byte is never the same value: it is refused or differs', () => {
  const bytes = canonicalBytes({ a: [1, 'x', null, { b: 'é', c: true }], z: 0.5 });
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ change;
      try {
        expect(canonicalBytes(assertCanonical(changed))).toEqual(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
      }
    }),
    { numRuns: 500 },
  );
});

function canonicalizable(value: Json): boolean {
  return JSON.stringify(value).isWellFormed() && !/\\ud[89a-f]/.test(JSON.stringify(value));
}
