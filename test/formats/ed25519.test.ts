import * as noble from '@noble/ed25519';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, sha512, toHex } from '../../daemon/formats/digest.ts';
import {
  areStrictPublicKeys,
  ed25519Signer,
  isStrictPublicKey,
  publicKeyOf,
  signEd25519,
  verifyEd25519,
} from '../../daemon/formats/ed25519.ts';

const { Point } = noble;
const L = Point.CURVE().n;
const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });
const message = fc.uint8Array({ maxLength: 100 });

/** The eight points of small order, canonically encoded. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
];

/** Encodings of curve points with y ≥ p, or with a sign bit on x = 0. */
const NON_CANONICAL = [
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

function rule(signature: Uint8Array, data: Uint8Array, key: Uint8Array): boolean {
  return noble.verify(signature, data, key, { zip215: false });
}

function toScalar(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(Uint8Array.from(bytes).reverse())}`);
}

function scalarBytes(scalar: bigint): Uint8Array {
  return Uint8Array.from(fromHex(scalar.toString(16).padStart(64, '0'))).reverse();
}

/** A signature by secret scalar `a` whose key and R carry the given small-order components. */
function twistedSignature(
  keyTorsion: noble.Point,
  rTorsion: noble.Point,
  data: Uint8Array,
  a: bigint,
  r: bigint,
) {
  const key = Point.BASE.multiply(a).add(keyTorsion).toBytes();
  const R = Point.BASE.multiply(r).add(rTorsion).toBytes();
  const k = toScalar(sha512(Buffer.concat([R, key, data]))) % L;
  return { key, signature: new Uint8Array(Buffer.concat([R, scalarBytes((r + k * a) % L)])) };
}

test('signatures and keys are byte-identical to the portable implementation', () => {
  fc.assert(
    fc.property(seed, message, (secret, data) => {
      const signature = signEd25519(secret, data);
      const signer = ed25519Signer(secret);
      expect(signature).toEqual(noble.sign(data, secret));
      expect(signer.sign(data)).toEqual(signature);
      expect(publicKeyOf(secret)).toEqual(noble.getPublicKey(secret));
      expect(signer.publicKey).toEqual(publicKeyOf(secret));
      expect(verifyEd25519(signature, data, publicKeyOf(secret))).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test('any flipped bit of signature, message or key: same verdict as the portable implementation', () => {
  fc.assert(
    fc.property(seed, fc.nat(64 * 8 + 32 * 8 + 4 * 8 - 1), (secret, bit) => {
      const data = Uint8Array.of(1, 2, 3, 4);
      const whole = Buffer.concat([signEd25519(secret, data), publicKeyOf(secret), data]);
      whole[bit >> 3] = (whole[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const parts = [whole.subarray(0, 64), whole.subarray(96), whole.subarray(64, 96)] as const;
      expect(verifyEd25519(...parts)).toBe(rule(...parts));
      expect(verifyEd25519(...parts)).toBe(false);
    }),
    { numRuns: 60 },
  );
});

test('small-order components in key and R: same verdict as the portable implementation', () => {
  const torsion = SMALL_ORDER.map((hex) => Point.fromBytes(fromHex(hex)));
  let beyondOpenssl = 0;
  for (const [i, keyTorsion] of torsion.entries()) {
    for (const rTorsion of [torsion[0], torsion[(i + 3) % 8]]) {
      const data = Uint8Array.of(i);
      const { key, signature } = twistedSignature(
        keyTorsion,
        rTorsion ?? Point.ZERO,
        data,
        1234567n,
        89101112n + BigInt(i),
      );
      expect(verifyEd25519(signature, data, key)).toBe(rule(signature, data, key));
      beyondOpenssl += rule(signature, data, key) ? 1 : 0;
    }
  }
  // The rule is cofactored, so these verify: a verifier that asked OpenSSL alone would have said no to most.
  expect(beyondOpenssl).toBe(16);
});

describe('keys that no signature counts under', () => {
  test.each([...SMALL_ORDER, ...NON_CANONICAL])('%s', (hex) => {
    const key = fromHex(hex);
    expect(isStrictPublicKey(key)).toBe(false);
    // S = 0 with R = the identity satisfies the bare equation for keys of small order.
    for (const r of [SMALL_ORDER[0] ?? '', hex]) {
      const signature = fromHex(r + '00'.repeat(32));
      for (let i = 0; i < 8; i += 1) {
        const data = Uint8Array.of(i);
        expect(verifyEd25519(signature, data, key)).toBe(false);
        expect(rule(signature, data, key)).toBe(false);
      }
    }
  });
});

test('S + L is another encoding of the same signature, and refused', () => {
  const secret = new Uint8Array(32).fill(9);
  const data = Uint8Array.of(7);
  const signature = signEd25519(secret, data);
  const malleable = signature.slice();
  malleable.set(scalarBytes(toScalar(signature.subarray(32)) + L), 32);
  expect(verifyEd25519(malleable, data, publicKeyOf(secret))).toBe(false);
  expect(rule(malleable, data, publicKeyOf(secret))).toBe(false);
});

test('keys for enrolment: ordinary ones only', () => {
  const key = publicKeyOf(new Uint8Array(32).fill(3));
  expect(isStrictPublicKey(key)).toBe(true);
  expect(isStrictPublicKey(key.subarray(1))).toBe(false);
  const mixed = Point.fromBytes(key).add(Point.fromBytes(fromHex(SMALL_ORDER[4] ?? '')));
  expect(isStrictPublicKey(mixed.toBytes())).toBe(false);
  expect(isStrictPublicKey(new Uint8Array(32).fill(2))).toBe(false);
});

describe('many keys for enrolment, together', () => {
  const ordinary = Array.from({ length: 301 }, (_, n) =>
    publicKeyOf(sha512(Uint8Array.of(n, n >> 8)).subarray(0, 32)),
  );
  const twisted = (key: Uint8Array, hex: string) =>
    Point.fromBytes(key)
      .add(Point.fromBytes(fromHex(hex)))
      .toBytes();
  const among = (changed: Record<number, Uint8Array>) => ordinary.map((key, n) => changed[n] ?? key);
  const own = (n: number) => ordinary[n] as Uint8Array;

  test('ordinary ones', () => {
    expect(areStrictPublicKeys(ordinary)).toBe(true);
    expect(areStrictPublicKeys([])).toBe(true);
  });

  // The first is the identity, which adds nothing.
  test.each(SMALL_ORDER.slice(1))('one among them with the torsion of %s', (hex) => {
    expect(areStrictPublicKeys(among({ 150: twisted(own(150), hex) }))).toBe(false);
  });

  test('several whose torsion adds up to none', () => {
    const half = SMALL_ORDER[1] ?? '';
    const [eighth = '', opposite = ''] = SMALL_ORDER.slice(4);
    expect(areStrictPublicKeys(among({ 0: twisted(own(0), half), 300: twisted(own(300), half) }))).toBe(
      false,
    );
    expect(areStrictPublicKeys(among({ 7: twisted(own(7), eighth), 8: twisted(own(8), opposite) }))).toBe(
      false,
    );
    expect(areStrictPublicKeys(ordinary.map((key) => twisted(key, half)))).toBe(false);
  });

  test.each([...SMALL_ORDER, ...NON_CANONICAL])('one among them that is %s', (hex) => {
    expect(areStrictPublicKeys(among({ 3: fromHex(hex) }))).toBe(false);
  });

  test('few are looked at one by one', () => {
    const few = ordinary.slice(0, 5);
    expect(areStrictPublicKeys(few)).toBe(true);
    expect(areStrictPublicKeys([...few, twisted(own(5), SMALL_ORDER[2] ?? '')])).toBe(false);
  });
});

test('wrong lengths never verify and never throw; a wrong seed is a bug', () => {
  const key = publicKeyOf(new Uint8Array(32).fill(3));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 40 }), (signature, other) => {
      expect(verifyEd25519(signature, Uint8Array.of(1), key)).toBe(false);
      expect(verifyEd25519(new Uint8Array(64), Uint8Array.of(1), other)).toBe(false);
    }),
    { numRuns: 30 },
  );
  expect(() => signEd25519(new Uint8Array(31), Uint8Array.of(1))).toThrow(RangeError);
});
