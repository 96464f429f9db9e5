import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256, toHex } from '../../daemon/formats/digest.ts';
import { rootOf, verifyConsistency, verifyInclusion } from '../../daemon/formats/merkle.ts';
import { SubtreeRoots } from '../../daemon/ledger/subtree-roots.ts';
import { MerkleTree, type TileStore } from '../../daemon/ledger/tree.ts';

const LEAVES = Array.from({ length: 1_400 }, (_, n) => sha256(`leaf ${n}`));

function memoryTiles(): TileStore & { tiles: Map<string, Uint8Array> } {
  const tiles = new Map<string, Uint8Array>();
  return {
    tiles,
    read(level, n) {
      const tile = tiles.get(`${level}/${n}`);
      if (tile === undefined) throw new Error(`no tile ${level}/${n}`);
      return tile;
    },
    write: (level, n, hashes) => void tiles.set(`${level}/${n}`, Uint8Array.from(hashes)),
  };
}

function grown(size: number, store = memoryTiles()): MerkleTree {
  const tree = new MerkleTree(store);
  for (const leaf of LEAVES.slice(0, size)) tree.append(leaf);
  return tree;
}

function rootAt(size: number): Uint8Array {
  return rootOf(LEAVES.slice(0, size));
}

const SIZE = fc.oneof(
  fc.integer({ min: 1, max: LEAVES.length }),
  fc.constantFrom(1, 2, 255, 256, 257, 511, 512, 513),
);

describe('a tree', () => {
  test('has the root of the definition at every size up to 600', () => {
    const tree = new MerkleTree(memoryTiles());
    for (let size = 0; size <= 600; size++) {
      expect(toHex(tree.root())).toBe(toHex(rootAt(size)));
      tree.append(LEAVES[size] as Uint8Array);
    }
  });

  test('knows the root of every earlier size', () => {
    const tree = grown(1_400);
    fc.assert(
      fc.property(SIZE, (size) => toHex(tree.root(size)) === toHex(rootAt(size))),
      { numRuns: 60 },
    );
  });

  test('proves inclusion of any leaf in any size', () => {
    const tree = grown(1_400);
    fc.assert(
      fc.property(SIZE, fc.nat(), (size, random) => {
        const index = random % size;
        const proof = tree.inclusionProof(index, size);
        return verifyInclusion(LEAVES[index] as Uint8Array, index, size, proof, rootAt(size));
      }),
      { numRuns: 150 },
    );
  });

  test('proves consistency of any two sizes', () => {
    const tree = grown(1_400);
    fc.assert(
      fc.property(SIZE, SIZE, (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        return verifyConsistency(from, to, tree.consistencyProof(from, to), rootAt(from), rootAt(to));
      }),
      { numRuns: 150 },
    );
  });

  test('goes back to its mark, whatever was appended since', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 700 }),
        fc.nat({ max: 700 }),
        fc.nat({ max: 300 }),
        (kept, dropped, after) => {
          const tree = grown(kept);
          tree.mark();
          for (let n = 0; n < dropped; n++) tree.append(sha256(`dropped ${n}`));
          tree.root();
          tree.rollback();
          expect(tree.size).toBe(kept);
          expect(toHex(tree.root())).toBe(toHex(rootAt(kept)));
          for (const leaf of LEAVES.slice(kept, kept + after)) tree.append(leaf);
          expect(toHex(tree.root())).toBe(toHex(rootAt(kept + after)));
          if (kept + after === 0) return;
          const proof = tree.inclusionProof(0);
          expect(verifyInclusion(LEAVES[0] as Uint8Array, 0, kept + after, proof, tree.root())).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('is the same after loading', () => {
    for (const size of [1, 255, 256, 257, 511, 512, 1_025, 1_400]) {
      const store = memoryTiles();
      const tree = grown(size, store);
      const loaded = MerkleTree.load(store, size, LEAVES.slice(size - (size % 256), size));
      expect(toHex(loaded.root())).toBe(toHex(tree.root()));
      expect(loaded.inclusionProof(size - 1)).toEqual(tree.inclusionProof(size - 1));
      expect(loaded.tile(0, 0, Math.min(size, 256))).toEqual(tree.tile(0, 0, Math.min(size, 256)));
      loaded.append(sha256('more'));
      tree.append(sha256('more'));
      expect(toHex(loaded.root())).toBe(toHex(tree.root()));
    }
  });

  test('grows past the second level', () => {
    const store = memoryTiles();
    const tree = new MerkleTree(store);
    const reference = new SubtreeRoots();
    for (let n = 0; n < 65_536 + 300; n++) {
      const leaf = sha256(`leaf ${n}`);
      tree.append(leaf);
      reference.append(leaf);
    }
    expect([...store.tiles.keys()].filter((key) => !key.startsWith('0/'))).toEqual(['1/0']);
    expect(toHex(tree.root())).toBe(toHex(reference.rootWith(65_836, null) as Uint8Array));
    const proof = tree.inclusionProof(4_000);
    expect(verifyInclusion(sha256('leaf 4000'), 4_000, 65_836, proof, tree.root())).toBe(true);
    const last = Array.from({ length: 300 - 256 }, (_, n) => sha256(`leaf ${65_536 + 256 + n}`));
    const loaded = MerkleTree.load(store, 65_836, last);
    expect(toHex(loaded.root())).toBe(toHex(tree.root()));
  });
});

describe('tiles', () => {
  const tree = grown(1_000);

  test.each([
    [0, 0, 256, true],
    [0, 3, 232, true],
    [0, 3, 233, false],
    [0, 4, 1, false],
    [1, 0, 3, true],
    [1, 0, 4, false],
    [2, 0, 1, false],
    [0, 0, 0, false],
    [0, 0, 257, false],
  ])('level %i, number %i, width %i: %s', (level, n, width, exists) => {
    const tile = tree.tile(level, n, width);
    expect(tile?.length).toBe(exists ? width * 32 : undefined);
  });

  test('hold the leaves, and above them the roots of full tiles', () => {
    expect(toHex(tree.tile(0, 3, 232) as Uint8Array)).toBe(
      Buffer.concat(LEAVES.slice(768, 1_000)).toString('hex'),
    );
    const above = [0, 1, 2].map((n) => rootOf(LEAVES.slice(n * 256, (n + 1) * 256)));
    expect(toHex(tree.tile(1, 0, 3) as Uint8Array)).toBe(Buffer.concat(above).toString('hex'));
  });
});

test('what is outside the tree is refused', () => {
  const tree = grown(10);
  expect(() => tree.inclusionProof(10)).toThrow(RangeError);
  expect(() => tree.inclusionProof(-1)).toThrow(RangeError);
  expect(() => tree.inclusionProof(0, 11)).toThrow(RangeError);
  expect(() => tree.consistencyProof(11)).toThrow(RangeError);
  expect(() => tree.consistencyProof(5, 4)).toThrow(RangeError);
});
