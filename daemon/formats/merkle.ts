import { DIGEST_BYTES, equalBytes, sha256 } from './digest.ts';

/**
 * RFC 6962 §2.1 = RFC 9162 §2.1 trees: hashing, proof verification, and the geometry from which a ledger with stored
 * subtree hashes builds proofs. All arithmetic is on doubles, exact for sizes up to 2^53-1.
 */

/** Root of the tree without entries: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

/** Leaves `[start, end)`. */
export interface Range {
  start: number;
  end: number;
}

/** The perfect subtree over leaves `[index * 2^level, (index + 1) * 2^level)`. */
export interface Coordinate {
  level: number;
  index: number;
}

// One scratch buffer each: hashing is synchronous and copies its input.
const leafScratch = new Uint8Array(1 + 65_535);
const nodeScratch = new Uint8Array(1 + 2 * DIGEST_BYTES);
nodeScratch[0] = 1;

/** SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  const input = entry.length < leafScratch.length ? leafScratch : new Uint8Array(1 + entry.length);
  input[0] = 0;
  input.set(entry, 1);
  return sha256(input.subarray(0, 1 + entry.length));
}

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length !== DIGEST_BYTES || right.length !== DIGEST_BYTES) {
    throw new RangeError(`tree nodes have ${DIGEST_BYTES} bytes`);
  }
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + DIGEST_BYTES);
  return sha256(nodeScratch);
}

/**
 * RFC 9162 §2.1.3.2. False for every defect: wrong index, size, length of the proof or of a hash. `index` and `size`
 * beyond 2^53-1 are refused.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !areHashes([leaf, root, ...proof])) {
    return false;
  }
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0) {
      return false;
    }
    if (isOdd(fn) || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(fn) && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 && equalBytes(hash, root);
}

/**
 * RFC 9162 §2.1.4.2. From the empty tree to any other an empty proof is right (C2SP tlog-witness), provided `root1` is
 * the empty root; equal sizes need equal roots and an empty proof. False for every defect.
 */
export function verifyConsistency(
  size1: number,
  size2: number,
  proof: readonly Uint8Array[],
  root1: Uint8Array,
  root2: Uint8Array,
): boolean {
  if (!isCount(size1) || !isCount(size2) || size1 > size2 || !areHashes([root1, root2, ...proof])) {
    return false;
  }
  if (size1 === size2) {
    return proof.length === 0 && equalBytes(root1, root2) && (size1 > 0 || equalBytes(root1, EMPTY_ROOT));
  }
  if (size1 === 0) {
    return proof.length === 0 && equalBytes(root1, EMPTY_ROOT);
  }
  const roots = consistencyRoots(size1, size2, proof, root1);
  return roots !== null && equalBytes(roots.first, root1) && equalBytes(roots.second, root2);
}

/**
 * The two roots that a consistency proof between sizes `0 < size1 < size2` adds up to, whatever anybody said they are. A
 * proof that adds up to a signed second root thereby says what that tree's first `size1` leaves hash to.
 *
 * `root1` goes into the sum where `size1` is a power of two, which the proof then leaves out. Null for a proof of the wrong
 * length, for one that lacks `root1`, and for sizes that are none.
 */
export function consistencyRoots(
  size1: number,
  size2: number,
  proof: readonly Uint8Array[],
  root1: Uint8Array | null,
): { first: Uint8Array; second: Uint8Array } | null {
  if (!isCount(size1) || !isCount(size2) || size1 === 0 || size1 >= size2 || !areHashes(proof)) {
    return null;
  }
  let fn = size1 - 1;
  let sn = size2 - 1;
  while (isOdd(fn)) {
    fn = half(fn);
    sn = half(sn);
  }
  // Step 2: a size that is a power of two is its own first subtree, which the proof leaves out.
  const first = fn === 0 ? root1 : proof[0];
  const rest = fn === 0 ? proof : proof.slice(1);
  if (first === undefined || first === null) {
    return null;
  }
  let fr: Uint8Array = first;
  let sr: Uint8Array = first;
  for (const hash of rest) {
    if (sn === 0) {
      return null;
    }
    if (isOdd(fn) || fn === sn) {
      fr = nodeHash(hash, fr);
      sr = nodeHash(hash, sr);
      while (!isOdd(fn) && fn !== 0) {
        fn = half(fn);
        sn = half(sn);
      }
    } else {
      sr = nodeHash(sr, hash);
    }
    fn = half(fn);
    sn = half(sn);
  }
  return sn === 0 ? { first: fr, second: sr } : null;
}

/**
 * The ranges whose hashes make the inclusion proof of `index` in the tree of `size` (RFC 6962 §2.1.1), leaf's sibling
 * first. All but at most one per level are perfect subtrees; `rangeHash` folds the ragged ones.
 */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!isCount(index) || !isCount(size) || index >= size) {
    throw new RangeError(`no entry ${index} in a tree of ${size}`);
  }
  const ranges: Range[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + powerBelow(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
}

/** The ranges whose hashes make the consistency proof between two sizes (RFC 6962 §2.1.2); none if equal or from 0. */
export function consistencyRanges(size1: number, size2: number): Range[] {
  if (!isCount(size1) || !isCount(size2) || size1 > size2) {
    throw new RangeError(`no consistency proof from ${size1} to ${size2}`);
  }
  if (size1 === 0 || size1 === size2) {
    return [];
  }
  const ranges: Range[] = [];
  let start = 0;
  let end = size2;
  while (end !== size1) {
    const middle = start + powerBelow(end - start);
    if (size1 <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // SUBPROOF(m, D[m], false): the old tree's own last subtree, unless it is the whole old tree.
  if (start > 0) {
    ranges.push({ start, end });
  }
  return ranges.reverse();
}

/** The perfect subtrees that tile a range from left to right, largest first; `start` must be aligned to its tree. */
export function coordinatesOf(range: Range): Coordinate[] {
  const coordinates: Coordinate[] = [];
  let start = range.start;
  while (start < range.end) {
    const width = powerBelow(range.end - start + 1);
    coordinates.push({ level: Math.log2(width), index: start / width });
    start += width;
  }
  return coordinates;
}

/** Hash of a range, from the stored hashes of its perfect subtrees. The empty range hashes to the empty root. */
export function rangeHash(range: Range, hashAt: (level: number, index: number) => Uint8Array): Uint8Array {
  return foldRight(coordinatesOf(range).map(({ level, index }) => hashAt(level, index)));
}

/** Joins the hashes of adjacent perfect subtrees, largest and leftmost first, into the hash over all of them. */
function foldRight(hashes: readonly Uint8Array[]): Uint8Array {
  let hash = hashes.at(-1);
  if (hash === undefined) {
    return EMPTY_ROOT;
  }
  for (let i = hashes.length - 2; i >= 0; i -= 1) {
    hash = nodeHash(hashes[i] as Uint8Array, hash);
  }
  return hash;
}

/** Root over leaf hashes, straight from the definition (RFC 6962 §2.1): slow, for tests and small trees. */
export function rootOf(leafHashes: readonly Uint8Array[]): Uint8Array {
  const [only] = leafHashes;
  if (only === undefined) {
    return EMPTY_ROOT;
  }
  if (leafHashes.length === 1) {
    return only;
  }
  const k = powerBelow(leafHashes.length);
  return nodeHash(rootOf(leafHashes.slice(0, k)), rootOf(leafHashes.slice(k)));
}

/** Largest power of two below `n` (n ≥ 2). */
function powerBelow(n: number): number {
  const high = Math.floor((n - 1) / 0x1_0000_0000);
  return high > 0 ? 2 ** (63 - Math.clz32(high)) : 2 ** (31 - Math.clz32(n - 1));
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function isOdd(n: number): boolean {
  return n % 2 === 1;
}

function half(n: number): number {
  return Math.floor(n / 2);
}

function areHashes(values: readonly Uint8Array[]): boolean {
  return values.every((value) => value.length === DIGEST_BYTES);
}
