import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { parseStrict } from '../../daemon/formats/strict-json.ts';

const LIMITS = { maxBytes: 4096, maxDepth: 8 };

function refusal(text: string, limits = LIMITS): { code: string; at: string | undefined; message: string } {
  try {
    parseStrict(text, limits);
  } catch (error) {
    if (error instanceof BoundaryError) {
      return { code: error.code, at: error.at, message: error.message };
    }
    throw error;
  }
  throw new Error(`accepted: ${text.slice(0, 80)}`);
}

describe('parseStrict accepts what every parser reads alike', () => {
  test.each([
    '{}',
    '[]',
    'null',
    '-0',
    ' {"a" : [1, 2.5, "x", true, null]}\n',
    '{"b":1,"a":{"b":1}}',
    '{"10":1,"9":2}',
    '{"\\u0061":1,"b":"\\ud83d\\ude00 \\u0000"}',
    '{"toString":1,"constructor":2,"":3}',
    '"\\\\\\""',
    '9007199254740991',
    '-9007199254740991',
    '1e-400',
    '{"a":"{\\"a\\":1,\\"a\\":2}"}',
  ])('%s', (text) => {
    expect(parseStrict(text, LIMITS)).toEqual(JSON.parse(text));
  });

  test('any JSON value, compact or spaced out', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        fc.pre(!text.includes('__proto__') && !/\d{16}|e\+/.test(text) && text.length < LIMITS.maxBytes);
        fc.pre(!/\\ud[89a-f]/.test(text));
        expect(parseStrict(text, LIMITS)).toEqual(JSON.parse(text));
      }),
    );
  });
});

describe('parseStrict refuses', () => {
  test.each([
    ['{"a":1,"a":1}', 'json.duplicate_key', '/a'],
    ['{"x":[{},{"a":1,"\\u0061":2}]}', 'json.duplicate_key', '/x/1/a'],
    ['{"a/b~c":{"d":1,"d":1}}', 'json.duplicate_key', '/a~1b~0c/d'],
    ['{"a":{"__proto__":1}}', 'json.forbidden_key', '/a/__proto__'],
    ['{"\\u005f_proto__":1}', 'json.forbidden_key', '/__proto__'],
    ['{"a":"\\ud800"}', 'json.lone_surrogate', '/a'],
    ['{"\\udc00":1}', 'json.lone_surrogate', ''],
    ['["\ud800"]', 'json.lone_surrogate', '/0'],
    ['[9007199254740992]', 'json.unsafe_integer', '/0'],
    ['{"n":-9007199254740993}', 'json.unsafe_integer', '/n'],
    ['{"n":1e16}', 'json.unsafe_integer', '/n'],
    ['[1,1e400]', 'json.number_range', '/1'],
    ['[[[[[[[[[1]]]]]]]]]', 'json.too_deep', '/0/0/0/0/0/0/0/0'],
  ])('%s', (text, code, at) => {
    expect(refusal(text)).toMatchObject({ code, at });
  });

  test.each(['', '{', '{"a":}', '[1,]', '{"a":1}}', '\ufeff{}', "{'a':1}", '01', '"\u0001"', 'NaN'])(
    'what is not JSON: %j',
    (text) => {
      expect(refusal(text).code).toBe('json.syntax');
    },
  );

  test('a syntax error does not repeat the document', () => {
    expect(refusal('{"pin": hunter2}').message).not.toMatch(/hunter|pin/);
  });

  test('size counts UTF-8 bytes', () => {
    const limits = { maxBytes: 10, maxDepth: 8 };
    expect(parseStrict('"12345678"', limits)).toBe('12345678');
    expect(refusal('"123456789"', limits).code).toBe('json.too_large');
    expect(refusal('"ééééé"', limits).code).toBe('json.too_large');
  });

  test('nesting that would overflow a recursive parser', () => {
    const limits = { maxBytes: 1 << 20, maxDepth: 16 };
    expect(refusal('['.repeat(100_000) + ']'.repeat(100_000), limits).code).toBe('json.too_deep');
    expect(refusal(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, limits).code).toBe('json.too_deep');
  });

  test('the pointer is cut, whatever the key', () => {
    const key = 'k'.repeat(1000);
    expect(refusal(`{"${key}":1,"${key}":1}`).at?.length).toBeLessThan(210);
  });
});

test('every duplicate key is found, wherever it is', () => {
  const key = fc.string({ minLength: 1, maxLength: 4 }).filter((text) => text !== '__proto__');
  fc.assert(
    fc.property(
      key,
      fc.nat(3),
      fc.array(fc.constantFrom('[1,', '{"z":'), { maxLength: 4 }),
      (name, before, nest) => {
        const members = Array.from({ length: before }, (_, i) => `"m${i}-${name.length}xxxxx":0,`).join('');
        const object = `{${members}${JSON.stringify(name)}:1,${JSON.stringify(name)}:2}`;
        const closed =
          nest.join('') +
          object +
          [...nest]
            .reverse()
            .map((open) => (open.startsWith('[') ? ']' : '}'))
            .join('');
        expect(refusal(closed).code).toBe('json.duplicate_key');
      },
    ),
  );
});

test('no text makes it throw anything but a BoundaryError, and what it accepts JSON.parse reads the same', () => {
  const soup = fc.stringMatching(/^[{}[\]",:\\u0-9eE+\-. adtrfnls\ud800é]{0,40}$/);
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: 'binary', maxLength: 60 })), (text) => {
      let value: unknown;
      try {
        value = parseStrict(text, LIMITS);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
        return;
      }
      expect(value).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});
