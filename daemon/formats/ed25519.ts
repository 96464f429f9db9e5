import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import * as noble from '@noble/ed25519';
import { sha512 } from './digest.ts';

noble.hashes.sha512 = sha512;

/** Lengths of RFC 8032 values. */
export const SIGNATURE_BYTES = 64;
export const PUBLIC_KEY_BYTES = 32;
export const SEED_BYTES = 32;

/** RFC 8410 prefixes: what stands before the raw 32 bytes in DER. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Verifier keys in use are few (logs, witnesses, approvers); hostile ones must not grow this without bound. */
const CACHE_MAX = 512;
const keys = new Map<string, KeyObject | null>();

/** An Ed25519 signing key that keeps its parsed form, for callers that sign often. */
export interface Ed25519Signer {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/**
 * The one verification rule of the product: `@noble/ed25519` with `zip215: false` (RFC 8032 §5.1.7 cofactored, with
 * canonical encodings only and small-order keys refused). Anything of wrong length is simply not valid.
 *
 * OpenSSL answers first because it is ten times faster. Its check is cofactorless and compares the canonical encoding
 * of R, so under a key that decodes strictly a signature that it accepts satisfies the rule as well; the converse does not hold for
 * torsion components, therefore its "no" is never final.
 */
export function verifyEd25519(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || publicKey.length !== PUBLIC_KEY_BYTES) {
    return false;
  }
  const key = verifierKey(publicKey);
  if (key === null) {
    return false;
  }
  if (verify(null, message, key, signature)) {
    return true;
  }
  return noble.verify(signature, message, publicKey, { zip215: false });
}

/**
 * Whether a public key may be enrolled: 32 bytes, canonical encoding of a point on the curve, not of small order and
 * free of torsion, so that all verifiers agree about every signature under it.
 */
export function isStrictPublicKey(publicKey: Uint8Array): boolean {
  const point = decodePoint(publicKey);
  return point !== null && !point.isSmallOrder() && point.isTorsionFree();
}

/** Whoever wants keys with torsion to pass has to try 2^128 sets of them. */
const TOGETHER_ROUNDS = 128;
/** With fewer keys, looking at each takes no longer. */
const TOGETHER_MIN = 256;
/** Sums of all subsets of so many keys are made once. */
const GROUP = 4;

/**
 * Whether `isStrictPublicKey` holds for each of many keys, found several times faster than one by one. Torsion is looked
 * for in sums of keys: where any key has some, it shows in half of all sums. Which sums, the digest of the keys says, so
 * that nobody can choose keys after them, and the answer is always the same.
 */
export function areStrictPublicKeys(publicKeys: readonly Uint8Array[]): boolean {
  if (publicKeys.length < TOGETHER_MIN) return publicKeys.every(isStrictPublicKey);
  const points: noble.Point[] = [];
  for (const publicKey of publicKeys) {
    const point = decodePoint(publicKey);
    if (point === null || point.isSmallOrder()) return false;
    points.push(point);
  }
  const groups = Array.from({ length: Math.ceil(points.length / GROUP) }, (_, n) =>
    subsetSums(points.slice(n * GROUP, (n + 1) * GROUP)),
  );
  const draws = drawn(publicKeys, TOGETHER_ROUNDS * groups.length);
  for (let round = 0; round < TOGETHER_ROUNDS; round += 1) {
    const sum = groups.reduce(
      (total, sums, n) =>
        total.add(sums[(draws[round * groups.length + n] ?? 0) % sums.length] as noble.Point),
      noble.Point.ZERO,
    );
    if (!sum.isTorsionFree()) return false;
  }
  return true;
}

/** The sum of every subset: 2 to the power of how many there are. */
function subsetSums(points: readonly noble.Point[]): noble.Point[] {
  const sums = [noble.Point.ZERO];
  for (const point of points) sums.push(...sums.map((sum) => sum.add(point)));
  return sums;
}

/** Bytes that look random, from the keys alone. */
function drawn(publicKeys: readonly Uint8Array[], length: number): Uint8Array {
  const hash = createHash('shake256', { outputLength: length });
  for (const publicKey of publicKeys) hash.update(publicKey);
  return hash.digest();
}

/** Ed25519 (RFC 8032) over `message` with a 32-byte seed; 64 bytes. */
export function signEd25519(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKey(seed)));
}

/** The 32-byte public key of a 32-byte seed. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length));
}

/** Parses the seed once. The seed's bytes may be wiped afterwards. */
export function ed25519Signer(seed: Uint8Array): Ed25519Signer {
  const key = privateKey(seed);
  return {
    publicKey: publicKeyOf(seed),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

function privateKey(seed: Uint8Array): KeyObject {
  if (seed.length !== SEED_BYTES) {
    throw new RangeError(`an Ed25519 seed has ${SEED_BYTES} bytes`);
  }
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

/** The key for OpenSSL, or null when the rule refuses the key itself. */
function verifierKey(publicKey: Uint8Array): KeyObject | null {
  const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString('latin1');
  const known = keys.get(name);
  if (known !== undefined) {
    return known;
  }
  const point = decodePoint(publicKey);
  const key =
    point === null || point.isSmallOrder()
      ? null
      : createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  if (keys.size >= CACHE_MAX) {
    keys.clear();
  }
  keys.set(name, key);
  return key;
}

/** Strict decoding (RFC 8032 §5.1.3): y < p, and no sign bit on x = 0. */
function decodePoint(publicKey: Uint8Array): noble.Point | null {
  try {
    return noble.Point.fromBytes(publicKey, false);
  } catch {
    return null;
  }
}
