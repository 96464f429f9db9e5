import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { checkStructure, parseBundle } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalBytes, canonicalText } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { siteOrigin } from '../../daemon/host/config.ts';
import { sampleBundle } from './sample.ts';

const plain = () => structuredClone(sampleBundle()) as unknown as JsonObject;
const encode = (text: string) => new TextEncoder().encode(text);

function codeOf(bytes: Uint8Array): string | null {
  try {
    parseBundle(bytes);
    return null;
  } catch (error) {
    if (error instanceof BoundaryError) return error.code;
    throw error;
  }
}

/** Sets one member, by path, in a copy of the sample. */
function withMember(path: (string | number)[], value: Json): JsonObject {
  const bundle = plain();
  let at = bundle as { [key: string | number]: Json };
  for (const step of path.slice(0, -1)) at = at[step] as typeof at;
  at[path.at(-1) ?? ''] = value;
  return bundle;
}

test('a bundle may name every site that there can be', () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const segment = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?$/);
  const named = fc.tuple(
    fc.array(label, { minLength: 1, maxLength: 3 }),
    fc.array(segment, { maxLength: 2 }),
  );
  fc.assert(
    fc.property(named, ([host, path]) => {
      const site = [host.join('.'), ...path].join('/');
      fc.pre(!site.includes('..'));
      expect(siteOrigin(site)).toBe(site);
      expect(checkStructure(withMember(['metadata', 'sites'], [site]))).toEqual([]);
    }),
  );
});

describe('the bytes of a bundle', () => {
  it('are the canonical JSON, and their digest the policy digest', () => {
    const bytes = canonicalBytes(plain());
    expect(parseBundle(bytes).digest).toBe(sha256Hex(bytes));
  });

  it.each([
    ['spaces', () => encode(JSON.stringify(plain(), null, 1)), 'bundle.not_canonical'],
    ['unsorted keys', () => encode(JSON.stringify(plain())), 'bundle.not_canonical'],
    [
      'a duplicate key',
      () => encode(`{"actions":{},${canonicalText(plain()).slice(1)}`),
      'bundle.not_canonical',
    ],
    ['a trailing line feed', () => encode(`${canonicalText(plain())}\n`), 'bundle.not_canonical'],
    ['no UTF-8', () => new Uint8Array([0x7b, 0xff, 0x7d]), 'bundle.not_canonical'],
    ['nothing', () => new Uint8Array(0), 'bundle.not_canonical'],
    ['a megabyte', () => encode(`"${'x'.repeat(1_100_000)}"`), 'bundle.too_large'],
    ['deep nesting', () => encode('['.repeat(40) + ']'.repeat(40)), 'bundle.too_deep'],
    ['no object', () => encode('null'), 'bundle.defective'],
    [
      'another schema',
      () => canonicalBytes(withMember(['schema'], 'holdfast/bundle/v2')),
      'bundle.defective',
    ],
  ])('are refused: %s', (_, bytes, code) => {
    expect(codeOf(bytes())).toBe(code);
  });

  it('never crash the reader, whatever they are', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(codeOf(encode(JSON.stringify(value)))).toMatch(/^bundle\./);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(codeOf(bytes)).toMatch(/^bundle\./);
      }),
    );
  });
});

describe('structural defects', () => {
  const cases: [string, JsonObject, string, RegExp, RegExp][] = [
    [
      'a misspelt key',
      withMember(['gates', 0, 'conditon'], 'true'),
      '/gates/0/conditon',
      /unknown key/,
      /did you mean "condition"/,
    ],
    ['a foreign key', withMember(['mcp'], {}), '/mcp', /unknown key "mcp"/, /use one of .*actions/],
    [
      'a wrong type',
      withMember(['metadata', 'version'], '1'),
      '/metadata/version',
      /"1"/,
      /write an integer/,
    ],
    [
      'a wrong choice',
      withMember(['gates', 0, 'otherwise'], 'deny'),
      '/gates/0/otherwise',
      /"deny"/,
      /"fail", "requires_exception"/,
    ],
    [
      'a name in capitals',
      withMember(['actions', 'Read'], {}),
      '/actions/Read',
      /the name "Read"/,
      /\^\[a-z\]/,
    ],
    [
      'an environment in capitals',
      withMember(['environments', 'Prod'], { description: 'x' }),
      '/environments/Prod',
      /the name/,
      /matches/,
    ],
    [
      'an unknown connector',
      withMember(['tools', 'read'], { connector: 'ssh' }),
      '/tools/read',
      /connector "ssh"/,
      /"exec" or "http"/,
    ],
    [
      'a weight out of range',
      withMember(['risk', 'factors', 0, 'weight'], 2),
      '/risk/factors/0/weight',
      /2/,
      /1 or less/,
    ],
    [
      'no description',
      withMember(['metadata', 'description'], ''),
      '/metadata/description',
      /0 characters/,
      /at least 1/,
    ],
    ['no bands', withMember(['risk', 'bands'], []), '/risk/bands', /0 items/, /at least 1/],
    [
      'a shell line for argv',
      withMember(['tools', 'restart', 'argv'], 'rm -rf /'),
      '/tools/restart/argv',
      /"rm -rf \/"/,
      /a list/,
    ],
    [
      'a duration in words',
      withMember(['metadata', 'freshness', 'warn_after'], 'a day'),
      '/metadata/freshness/warn_after',
      /"a day"/,
      /30s, 15m, 4h, 7d/,
    ],
    [
      'too many environments',
      withMember(
        ['environments'],
        Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`e${i}`, { description: 'x' }])),
      ),
      '/environments',
      /33 members/,
      /at most 32/,
    ],
  ];
  it.each(cases)('name place and remedy: %s', (_, bundle, pointer, found, instead) => {
    expect(checkStructure(bundle)).toEqual([
      { pointer, found: expect.stringMatching(found), write_instead: expect.stringMatching(instead) },
    ]);
  });

  it('name a missing section', () => {
    const bundle = plain();
    delete bundle.authority;
    expect(checkStructure(bundle)).toEqual([
      { pointer: '', found: 'no "authority"', write_instead: 'add "authority"' },
    ]);
  });

  it('are all reported at once', () => {
    const bundle = withMember(['gates', 0, 'otherwise'], 'deny');
    for (let i = 0; i < 20; i++) bundle[`extra${i}`] = i;
    expect(checkStructure(bundle)).toHaveLength(21);
  });

  it('are told for every value that the schema refuses', () => {
    const bytes = canonicalBytes(plain());
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.constantFrom('0', '"x"', 'null', '[]', '{}', 'true'),
        (at, junk) => {
          // Replaces one scalar somewhere in the text by junk of another kind.
          const text = canonicalText(plain());
          const changed = `${text.slice(0, at)}${text.slice(at).replace(/:("[^"]*"|[0-9.]+)/, `:${junk}`)}`;
          let value: Json;
          try {
            value = JSON.parse(changed) as Json;
          } catch {
            return;
          }
          for (const { found, write_instead } of checkStructure(value)) {
            expect(write_instead).not.toMatch(/JSON Schema/);
            expect(found).not.toBe('');
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a bundle that is valid JSON of the right shape', () => {
  it('compiles or is refused with defects, never with anything else', () => {
    const name = fc.constantFrom('read', 'restart_service', 'production', 'L3', 'x', 'constructor');
    const text = fc.constantFrom(
      'true',
      'payload.note == "x"',
      '(',
      'action.target',
      '{{target.id}}',
      '1s',
      'a'.repeat(200),
    );
    const path = fc.constantFrom<(string | number)[][]>(
      ['gates', 0, 'condition'] as never,
      ['gates', 0, 'classes', 0] as never,
      ['tools', 'restart', 'argv', 1] as never,
      ['actions', 'read', 'tool'] as never,
      ['actions', 'read', 'target', 'id_pattern'] as never,
      ['authority', 'routes', 1, 'require', 0, 'roles', 0] as never,
      ['risk', 'factors', 0, 'condition'] as never,
    ) as unknown as fc.Arbitrary<(string | number)[]>;
    fc.assert(
      fc.property(path, fc.oneof(name, text, fc.string({ minLength: 1, maxLength: 40 })), (where, value) => {
        try {
          const { bundle, digest } = parseBundle(canonicalBytes(withMember(where, value)));
          compileBundle(bundle, digest);
        } catch (error) {
          expect(error).toBeInstanceOf(BundleDefects);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('says in its message what the first defects are and how many there are', () => {
    const bundle = withMember(['gates', 0, 'otherwise'], 'deny');
    for (let i = 0; i < 9; i++) bundle[`extra${i}`] = i;
    expect(() => parseBundle(canonicalBytes(bundle))).toThrow(
      /10 defects and is refused whole:\n- .*\n(- .*\n){4}- and 5 more/,
    );
  });
});
