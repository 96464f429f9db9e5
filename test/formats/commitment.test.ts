import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import { commit, isCommitment, openCommitment, SALT_BYTES } from '../../daemon/formats/commitment.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';

const salt = fc.uint8Array({ minLength: SALT_BYTES, maxLength: SALT_BYTES });
const value = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.integer(),
  fc.constant(null),
  fc.array(fc.boolean()),
);

test('opens with its salt and value, in any member order, and with no other', () => {
  fc.assert(
    fc.property(salt, value, value, salt, (own, secret, other, otherSalt) => {
      const commitment = commit(own, secret);
      expect(isCommitment(commitment)).toBe(true);
      expect(openCommitment(commitment, own, secret)).toBe(true);
      expect(openCommitment(commitment, own, other)).toBe(canonicalText(secret) === canonicalText(other));
      expect(openCommitment(commitment, otherSalt, secret)).toBe(Buffer.compare(own, otherSalt) === 0);
    }),
  );
  const zero = new Uint8Array(SALT_BYTES);
  expect(openCommitment(commit(zero, { a: 1, b: 2 }), zero, { b: 2, a: 1 })).toBe(true);
});

test('is SHA-256 over salt and canonical value', () => {
  const fixed = new Uint8Array(SALT_BYTES).fill(7);
  expect(commit(fixed, '1234').$commitment).toBe(sha256Hex(Buffer.concat([fixed, Buffer.from('"1234"')])));
});

describe('what is not a commitment', () => {
  test.each([
    null,
    'x',
    [],
    {},
    { $commitment: 1 },
    { $commitment: 'A'.repeat(64) },
    { $commitment: 'a'.repeat(64), x: 1 },
  ])('%j', (candidate) => {
    expect(isCommitment(candidate)).toBe(false);
  });

  test('it never opens, nor does a salt of another length', () => {
    const fixed = new Uint8Array(SALT_BYTES);
    expect(openCommitment({ $commitment: 'nonsense' }, fixed, 1)).toBe(false);
    expect(openCommitment(commit(fixed, 1), new Uint8Array(31), 1)).toBe(false);
    expect(() => commit(new Uint8Array(31), 1)).toThrow(RangeError);
  });
});
