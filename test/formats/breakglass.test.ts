import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BreakglassPlace,
  formatScope,
  isSessionId,
  parseScope,
  scopeDigest,
} from '../../daemon/formats/breakglass-scope.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import {
  codeOf,
  commitCode,
  formatGrant,
  formatSealedGrant,
  isGrantId,
  normalCode,
  parseGrant,
  parseSealedGrant,
} from '../../daemon/formats/grant.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';

const PLACE: BreakglassPlace = {
  actor: null,
  class: 'restart_service',
  environment: 'production',
  target: { type: 'service', id: 'relay-2' },
  ttl_seconds: 1_800,
};
const UUID = '01990000-0000-7000-8000-000000000000';
const GRANT = {
  ...PLACE,
  id: `grant_${UUID}`,
  site: 'outpost-7.example',
  log: 'outpost-7.example/ledger',
  commitment: 'a'.repeat(64),
  expires_at: '2031-03-01T12:00:00.000Z',
};

const text = (max: number) =>
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: max })
    .filter((one) => one.isWellFormed() && one.length <= max);
const places = fc.record({
  actor: fc.option(text(40)),
  class: text(20),
  environment: text(20),
  target: fc.record({ type: text(20), id: text(40) }),
  ttl_seconds: fc.integer({ min: 1, max: 604_800 }),
});
const reasons = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/), text(60), { maxKeys: 6 });

describe('a scope', () => {
  test('is read as it was written, and says nothing twice: one text, one digest', () => {
    fc.assert(
      fc.property(places, reasons, (place, reason) => {
        const written = formatScope(place, reason);
        const read = parseScope(written);
        expect(read).toEqual({ type: 'holdfast/breakglass/v1', ...place, reason: { ...reason } });
        expect(formatScope(read, read.reason)).toBe(written);
        expect(scopeDigest(written)).toMatch(/^[0-9a-f]{64}$/);
      }),
      { numRuns: 200 },
    );
  });

  const scope = JSON.parse(formatScope(PLACE, { hazard: 'x' })) as JsonObject;
  const changed = (change: JsonObject): string => canonicalText({ ...scope, ...change });
  const without = (name: string): string =>
    canonicalText(Object.fromEntries(Object.entries(scope).filter(([key]) => key !== name)) as Json);

  test.each<[string, string, string]>([
    ['that is no JSON', '{', 'breakglass.not_canonical'],
    ['with a space', ` ${canonicalText(scope)}`, 'breakglass.not_canonical'],
    ['too large', changed({ reason: { hazard: 'x'.repeat(17_000) } }), 'breakglass.too_large'],
    ['with half a character', '"\ud800"', 'breakglass.too_large'],
    ['of another type', changed({ type: 'holdfast/act/v1' }), 'breakglass.shape'],
    ['with a member too many', changed({ also: 1 }), 'breakglass.shape'],
    ['without its target', without('target'), 'breakglass.shape'],
    ['with a list for a target', changed({ target: ['service', 'relay-2'] }), 'breakglass.shape'],
    [
      'with a target of more parts',
      changed({ target: { type: 'a', id: 'b', also: 'c' } }),
      'breakglass.shape',
    ],
    ['with an empty actor', changed({ actor: '' }), 'breakglass.shape'],
    ['for no time', changed({ ttl_seconds: 0 }), 'breakglass.shape'],
    ['for half a second', changed({ ttl_seconds: 0.5 }), 'breakglass.shape'],
    ['for a year', changed({ ttl_seconds: 31_536_000 }), 'breakglass.shape'],
    ['with a number for a reason', changed({ reason: { hazard: 1 } }), 'breakglass.shape'],
    ['with an empty field', changed({ reason: { hazard: '' } }), 'breakglass.shape'],
    ['with a field of a strange name', changed({ reason: { 'a b': 'x' } }), 'breakglass.shape'],
    ['that is a list', '[]', 'breakglass.shape'],
  ])('%s is refused', (_what, bad, code) => {
    expect(() => parseScope(bad)).toThrow(expect.objectContaining({ code }));
  });
});

test('ids are a prefix and a UUIDv7 in lower case', () => {
  expect(isSessionId(`bg_${UUID}`)).toBe(true);
  expect(isGrantId(`grant_${UUID}`)).toBe(true);
  for (const bad of [`bg_${UUID} `, `bg_${UUID.replace('-7', '-4')}`, `grant_${UUID}`, `BG_${UUID}`, 'bg_']) {
    expect(isSessionId(bad)).toBe(false);
  }
});

describe('a grant', () => {
  test('is read as it was written', () => {
    const written = formatGrant(GRANT);
    expect(parseGrant(written)).toEqual({ type: 'holdfast/grant/v1', ...GRANT });
  });

  test.each<[string, JsonObject]>([
    ['id', { id: `bg_${UUID}` }],
    ['site', { site: '' }],
    ['log', { log: 1 }],
    ['commitment', { commitment: 'a'.repeat(63) }],
    ['expires_at', { expires_at: 'tomorrow' }],
    ['type', { type: 'holdfast/grant/v2' }],
    ['code', { code: 'x' }],
  ])('with a wrong %s is refused', (_what, change) => {
    const bad = canonicalText({ ...(JSON.parse(formatGrant(GRANT)) as JsonObject), ...change });
    expect(() => parseGrant(bad)).toThrow(expect.objectContaining({ code: 'grant.shape' }));
  });

  test('sealed, it is read back with its code; a copy without is one too', () => {
    for (const code of ['0A1B2-00000-00000-00000-00000-00000', null]) {
      const sealed = { grant: formatGrant(GRANT), act: '{}', signature: 's', code };
      expect(parseSealedGrant(new TextEncoder().encode(formatSealedGrant(sealed)))).toEqual(sealed);
    }
  });

  test('anything else is not one', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => new TextEncoder().encode(json)),
        ),
        (bytes) => {
          expect(() => parseSealedGrant(bytes)).toThrow(expect.objectContaining({ code: 'grant.file' }));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('a code', () => {
  const randoms = fc.uint8Array({ minLength: 20, maxLength: 20 });

  test('survives being typed off paper', () => {
    fc.assert(
      fc.property(randoms, (random) => {
        const code = codeOf(random);
        expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){5}[0-9A-HJKMNP-TV-Z]{5}$/);
        const typed = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
        expect(normalCode(` ${typed}\n`)).toBe(code);
      }),
    );
  });

  test('depends on every bit that it is made of', () => {
    fc.assert(
      fc.property(randoms, fc.integer({ min: 10, max: 159 }), (random, bit) => {
        const flipped = Uint8Array.from(random);
        const at = Math.floor(bit / 8);
        flipped[at] = (flipped[at] ?? 0) ^ (0x80 >> (bit % 8));
        expect(codeOf(flipped)).not.toBe(codeOf(random));
      }),
    );
  });

  test.each(['', 'ABCDE', 'A'.repeat(31), `${'A'.repeat(29)}U`, `${'A'.repeat(29)}ä`])(
    '%j is none',
    (typed) => {
      expect(() => normalCode(typed)).toThrow(expect.objectContaining({ code: 'grant.code' }));
    },
  );

  test('commits to its own grant only', () => {
    const code = codeOf(new Uint8Array(20));
    expect(commitCode('grant_1', code)).not.toBe(commitCode('grant_2', code));
    expect(commitCode('grant_1', code)).toMatch(/^[0-9a-f]{64}$/);
  });
});
