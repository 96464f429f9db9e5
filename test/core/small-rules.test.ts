import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs } from '../../daemon/core/duration.ts';
import { normalizeRequest } from '../../daemon/core/normalize.ts';
import { compilePattern } from '../../daemon/core/pattern.ts';
import { requiredAuthority } from '../../daemon/core/routes.ts';
import { isRecordableName } from '../../daemon/core/scrub.ts';
import { redactPayload } from '../../daemon/core/sensitive.ts';
import { openCommitment } from '../../daemon/formats/commitment.ts';
import { fromBase64 } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { Commitment } from '../../daemon/formats/permit.ts';
import { compileSample, FACTS, sampleBundle, sampleRequest } from './sample.ts';

describe('durations', () => {
  it.each([
    ['30s', 30_000],
    ['15m', 900_000],
    ['4h', 14_400_000],
    ['7d', 604_800_000],
  ])('%s', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });
  it.each(['', '0s', '30', 's', '1.5h', '-1s', ' 1s', '1s ', '1w', '1234567s'])('refuse "%s"', (text) => {
    expect(() => durationMs(text)).toThrow(/not a duration/);
  });
});

describe('patterns', () => {
  it('match the whole text, alternatives included, and no line feed after it', () => {
    const pattern = compilePattern('a|ab', 100);
    expect(['a', 'ab', 'b', 'abc', 'ab\n', '\nab'].map((text) => pattern.matchesWhole(text))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(pattern.foundIn('xxaxx')).toBe(true);
  });

  it('agree with JavaScript where both mean the same', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '1', '-', '.', '/', 'é', '😀', '\n'),
      maxLength: 12,
    });
    for (const source of ['[a-z0-9][a-z0-9-]{0,5}', '(a|b)*1?', 'a+b+', '[^a]*', '(?:a/)*b', '.{2,3}']) {
      const pattern = compilePattern(source, 100);
      const expected = new RegExp(`^(?:${source})$`, 'u');
      fc.assert(
        fc.property(text, (input) => {
          expect(pattern.matchesWhole(input)).toBe(expected.test(input));
        }),
      );
    }
  });

  it('end on text that stalls a backtracking engine', () => {
    const pattern = compilePattern('(a+)+b', 16_384);
    expect(pattern.matchesWhole('a'.repeat(16_384))).toBe(false);
  });

  it.each(['(?=a)', '(a)\\1', '[', 'a{2000}'])('refuse %s', (source) => {
    expect(() => compilePattern(source, 10)).toThrow(/RE2/);
  });
});

describe('a normalized request', () => {
  it('has every member, null where nothing was said', () => {
    expect(normalizeRequest({})).toEqual({
      action: { class: null, intent: null, target: null, payload: {} },
      context: {
        actor: { id: null, role: null },
        environment: null,
        request_source: null,
        trace: { correlation_id: null, parent_id: null },
        labels: {},
      },
      linked_to: null,
    });
  });

  it('keeps text and payload as they came', () => {
    const request = sampleRequest({ intent: ' e\u0301 ', payload: { b: 1, a: [null] } });
    expect(request.action.intent).toBe(' e\u0301 ');
    expect(JSON.stringify(request.action.payload)).toBe('{"b":1,"a":[null]}');
  });

  it('is its own normal form', () => {
    const body = normalizeRequest({
      action: { class: 'a', payload: { x: 1 } },
      context: { labels: { m: 'x' } },
    });
    expect(normalizeRequest(body as unknown as JsonObject)).toEqual(body);
  });
});

describe('redaction', () => {
  const actionClass = sampleBundle().actions.join_network;
  if (actionClass === undefined) throw new Error('the sample has no join_network');

  it('commits to any value, and what it sealed opens the commitment', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.string({ maxLength: 60 }),
        (salt, psk) => {
          const before = { ssid: 'a', psk };
          const { payload, sealed } = redactPayload(before, actionClass, () => salt);
          const opened = sealed.psk;
          if (opened === undefined) throw new Error('nothing was sealed');
          expect(payload.ssid).toBe('a');
          expect(before.psk).toBe(psk);
          const commitment = payload.psk as unknown as Commitment;
          expect(openCommitment(commitment, fromBase64(opened.salt), opened.value)).toBe(true);
          expect(openCommitment(commitment, fromBase64(opened.salt), `${psk}x`)).toBe(false);
        },
      ),
    );
  });

  it('leaves a payload alone that holds nothing sensitive', () => {
    const payload = { ssid: 'a' };
    const result = redactPayload(payload, actionClass, () => new Uint8Array(32));
    expect(result.payload).toBe(payload);
    expect(result.sealed).toEqual({});
  });
});

describe('authority', () => {
  it('is absent where no route matches, and empty where one asks for nobody', () => {
    const routes = [{ id: 'low', bands: ['low'], require: [] }];
    expect(requiredAuthority(routes, 'high')).toBeNull();
    expect(requiredAuthority(routes, 'low')).toEqual({ route: 'low', required: [] });
    expect(requiredAuthority([], 'low')).toBeNull();
  });

  it('never asks for less because a route was added', () => {
    const group = fc.record({
      group: fc.constantFrom('peer', 'safety'),
      roles: fc.constantFrom('L3', 'L4', 'L3 L4').map((roles) => roles.split(' ')),
      min_signatures: fc.integer({ min: 1, max: 3 }),
    });
    const route = fc.record({
      id: fc.constantFrom('a', 'b', 'c'),
      require: fc.uniqueArray(group, { selector: (g) => g.group, maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(route, { minLength: 1, maxLength: 3 }), route, (routes, added) => {
        const seats = (some: typeof routes) =>
          requiredAuthority(some, 'low')?.required.reduce(
            (sum, { min_signatures }) => sum + min_signatures,
            0,
          ) ?? 0;
        expect(seats([...routes, added])).toBeGreaterThanOrEqual(seats(routes));
        const names =
          requiredAuthority([...routes, added], 'low')?.required.map((required) => required.group) ?? [];
        for (const required of added.require) {
          expect(names.some((name) => name === required.group || name.endsWith(`.${required.group}`))).toBe(
            true,
          );
        }
      }),
    );
  });
});

describe('risk', () => {
  it('stays between 0 and 1 and shows no rounding errors', () => {
    const weights = (one: number, two: number) =>
      compileSample((bundle) => {
        for (const [index, weight] of [one, two].entries()) {
          bundle.risk.factors.push({ id: `f${index}`, condition: 'true', weight, reason: 'r' });
        }
      }).evaluate(sampleRequest(), FACTS).risk;
    expect(weights(1, 1)).toMatchObject({ score: 1, band: 'high' });
    expect(weights(-1, -1)).toMatchObject({ score: 0, band: 'low' });
    expect(weights(0.1, 0.2)).toMatchObject({ score: 0.5, band: 'medium' });
    expect(weights(0.1, 0.05)).toMatchObject({ score: 0.35, band: 'medium' });
  });
});

it('names may be recorded when they are short, plain and no credentials', () => {
  expect(['a', 'agent:ops-1', 'A_b.c@d'].every(isRecordableName)).toBe(true);
  expect(['', 'a b', 'x'.repeat(65), 'a\u202eb', `AKIA${'A'.repeat(16)}`].some(isRecordableName)).toBe(false);
});
