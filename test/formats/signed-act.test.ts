import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { actNamespace, formatAct, parseAct, type SignedAct } from '../../daemon/formats/signed-act.ts';
import { codeOf } from '../codes.ts';

const ACT: SignedAct = {
  type: 'holdfast/act/v1',
  kind: 'approval',
  site: 'outpost-7.example',
  subject: 'dec_0199b1d2-0000-7000-8000-000000000001',
  subject_digest: { policy: 'b'.repeat(64), action: 'a'.repeat(64) },
  answer: 'approve',
  role: 'L3',
  reason: 'relay is down – seen on site',
  issued_at: '2026-11-21T08:00:00.000Z',
  ttl_seconds: 3600,
  nonce: '0123456789abcdef0123456789abcdef',
  seen_checkpoint: 'outpost-7.example/ledger\n7\nAAAA\n',
};

test('round trip, and the text is canonical', () => {
  const text = formatAct(ACT);
  expect(parseAct(text)).toEqual(ACT);
  expect(text).toBe(canonicalText(ACT as unknown as JsonObject));
  expect(parseAct(formatAct({ ...ACT, seen_checkpoint: null, reason: '' }))).toMatchObject({ reason: '' });
});

test('each kind has a namespace of its own', () => {
  expect(actNamespace('approval')).toBe('approval@holdfast');
  expect(actNamespace('breakglass')).toBe('breakglass@holdfast');
});

describe('acts of another shape', () => {
  const changes: [string, Record<string, Json>][] = [
    ['/type', { type: 'holdfast/act/v2' }],
    ['/kind', { kind: 'approve' }],
    ['/kind', { kind: 'toString' }],
    ['/site', { site: '' }],
    ['/subject', { subject: 7 }],
    ['/subject_digest', { subject_digest: [] }],
    ['/subject_digest', { subject_digest: { action: 'A'.repeat(64) } }],
    ['/subject_digest', { subject_digest: { action: null } }],
    ['/subject_digest', { subject_digest: { 'Action ': 'a'.repeat(64) } }],
    ['/answer', { answer: 'APPROVE' }],
    ['/answer', { answer: '' }],
    ['/role', { role: null }],
    ['/reason', { reason: 'x'.repeat(2001) }],
    ['/issued_at', { issued_at: '2026-11-21T08:00:00Z' }],
    ['/ttl_seconds', { ttl_seconds: 0 }],
    ['/ttl_seconds', { ttl_seconds: 1.5 }],
    ['/ttl_seconds', { ttl_seconds: 1e9 }],
    ['/nonce', { nonce: 'short' }],
    ['/nonce', { nonce: `${'n'.repeat(20)}\n` }],
    ['/seen_checkpoint', { seen_checkpoint: '' }],
    ['', { extra: true }],
  ];
  test.each(changes)('%s %j', (at, change) => {
    const act = { ...(ACT as unknown as JsonObject), ...change };
    const shape = expect.objectContaining({ code: 'act.shape', at });
    expect(() => parseAct(canonicalText(act))).toThrow(shape);
    expect(() => formatAct(act as unknown as SignedAct)).toThrow(shape);
  });

  test('a missing member', () => {
    for (const name of Object.keys(ACT)) {
      const { [name]: _, ...rest } = ACT as unknown as JsonObject;
      expect(codeOf(() => parseAct(canonicalText(rest)))).toBe('act.shape');
    }
  });
});

test('the same act, written otherwise, is not what was signed', () => {
  const text = formatAct(ACT);
  for (const other of [
    `${text}\n`,
    ` ${text}`,
    text.replace('{', '{ '),
    text.replace('"kind"', '"\\u006bind"'),
    '',
    '\ud800',
  ]) {
    expect(codeOf(() => parseAct(other))).toBe('act.not_canonical');
  }
  expect(codeOf(() => parseAct('x'.repeat(20_000)))).toBe('act.too_large');
});

test('any changed character is refused or is another act', () => {
  const text = formatAct(ACT);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, char) => {
      fc.pre(text[at] !== char);
      const changed = text.slice(0, at) + char + text.slice(at + 1);
      try {
        expect(formatAct(parseAct(changed))).toBe(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
      }
    }),
    { numRuns: 300 },
  );
});
