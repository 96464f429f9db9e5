import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scrubRequest } from '../../daemon/core/evaluate.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { compileSample, FACTS, sampleRequest } from './sample.ts';

const bundle = compileSample();

function judge(payload: JsonObject) {
  const request = sampleRequest({ payload: { note: 'x', ...payload } });
  const verdict = bundle.evaluate(request, FACTS);
  const failed = verdict.gates.filter(({ result }) => result === 'fail');
  return {
    verdict,
    gates: failed.map(({ id, field }) => `${id} ${field}`),
    recorded: scrubRequest(request, verdict),
  };
}

describe('the payload allowlist', () => {
  const right: [string, JsonObject][] = [
    ['an integer at its bounds', { grace_seconds: 600 }],
    ['a choice', { mode: 'soft' }],
    ['a list', { units: ['a', 'bb', 'ccc'] }],
    ['an empty list', { units: [] }],
    ['a fraction', { load: 0.5 }],
    ['a boolean', { force: false }],
  ];
  it.each(right)('lets %s through', (_, payload) => {
    expect(judge(payload).gates).toEqual([]);
  });

  const wrong: [string, JsonObject, string][] = [
    ['a fraction for an integer', { grace_seconds: 1.5 }, 'payload.field payload.grace_seconds'],
    ['an integer out of range', { grace_seconds: 601 }, 'payload.field payload.grace_seconds'],
    ['a number as text', { grace_seconds: '5' }, 'payload.field payload.grace_seconds'],
    ['null', { grace_seconds: null }, 'payload.field payload.grace_seconds'],
    ['no choice', { mode: 'medium' }, 'payload.field payload.mode'],
    ['a text for a list', { units: 'a' }, 'payload.field payload.units'],
    ['a long list', { units: ['a', 'b', 'c', 'd'] }, 'payload.field payload.units'],
    ['a list of lists', { units: [['a']] }, 'payload.field payload.units'],
    ['an item off the pattern', { units: ['a', 'b\n'] }, 'payload.field payload.units'],
    ['long text', { note: 'x'.repeat(201) }, 'payload.field payload.note'],
    ['an object for text', { note: { a: 1 } }, 'payload.field payload.note'],
    ['a number for a boolean', { force: 0 }, 'payload.field payload.force'],
    ['an unlisted field', { extra: 1 }, 'payload.allowlist payload.extra'],
    ['a field of every object', { constructor: 1 }, 'payload.allowlist payload.constructor'],
  ];
  it.each(wrong)('denies %s and withholds the value', (_, payload, gate) => {
    const { verdict, gates, recorded } = judge(payload);
    expect(verdict.result).toBe('deny');
    expect(gates).toEqual([gate]);
    const [id = '', field = ''] = gate.split(' ');
    expect(recorded.action.payload[field.slice('payload.'.length)]).toEqual({ $withheld: id });
  });

  it('denies a missing required field', () => {
    const verdict = bundle.evaluate(sampleRequest({ payload: {} }), FACTS);
    expect(verdict.gates).toContainEqual({
      id: 'payload.required',
      result: 'fail',
      field: 'payload.note',
      reason: 'payload.note is required and missing.',
    });
  });

  it('withholds everything when too many fields are unlisted', () => {
    const payload: JsonObject = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, i) => [`k${i}`, `v${i}`]),
    );
    const { gates, recorded } = judge(payload);
    expect(gates).toEqual(['payload.allowlist payload']);
    const text = JSON.stringify(recorded.action.payload);
    expect(text.length).toBeLessThan(10_000);
    expect(text).not.toContain('"v');
  });

  it('does not write down names that are no names', () => {
    const names = ['has space', 'x'.repeat(65), 'AKIAABCDEFGHIJKLMNOP', 'tab\there'];
    const { gates, recorded, verdict } = judge(Object.fromEntries(names.map((name) => [name, 1])));
    expect(gates).toEqual(['payload.allowlist payload.$withheld_keys']);
    for (const name of names) expect(JSON.stringify([verdict, recorded])).not.toContain(name);
    expect(recorded.action.payload.$withheld_keys).toBe(names.length);
  });

  it('never lets a value of a denied field into verdict or record, whatever the payload', () => {
    const name = fc.string({ minLength: 1, maxLength: 20 }).filter((key) => key !== '__proto__');
    const canary = 'CANARY-VALUE';
    const value = fc.oneof(fc.constant(canary), fc.constant([canary]), fc.constant({ deep: [canary] }));
    fc.assert(
      fc.property(fc.dictionary(name, value, { minKeys: 1, maxKeys: 20 }), (payload) => {
        const listed = new Set(Object.keys(bundle.bundle.actions.restart_service?.payload ?? {}));
        const unlisted = Object.fromEntries(Object.entries(payload).filter(([key]) => !listed.has(key)));
        if (Object.keys(unlisted).length === 0) return;
        const { verdict, recorded } = judge(unlisted as JsonObject);
        expect(verdict.result).toBe('deny');
        expect(JSON.stringify([verdict, recorded])).not.toContain(canary);
      }),
    );
  });
});
