import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import {
  decodeEntryBundle,
  encodeEntryBundle,
  entriesPath,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
  tilesForSize,
} from '../../daemon/formats/tile.ts';

test.each([
  [tilePath(0, 0), 'tile/0/000'],
  [tilePath(1, 1_234_067), 'tile/1/x001/x234/067'],
  [tilePath(0, 1000, 1), 'tile/0/x001/000.p/1'],
  [entriesPath(999, 255), 'tile/entries/999.p/255'],
  [entriesPath(1_000_000), 'tile/entries/x001/x000/000'],
])('%s', (path, expected) => {
  expect(path).toBe(expected);
});

test('paths round trip', () => {
  fc.assert(
    fc.property(
      fc.option(fc.nat(6)),
      fc.oneof(fc.nat(2000), fc.maxSafeNat()),
      fc.integer({ min: 1, max: 256 }),
      (level, n, width) => {
        const path = level === null ? entriesPath(n, width) : tilePath(level, n, width);
        expect(parseTilePath(path)).toEqual({ level, n, width });
      },
    ),
  );
});

describe('paths with another meaning, or none', () => {
  test.each([
    'tile/0/0',
    'tile/0/00',
    'tile/0/x000/001',
    'tile/0/1000',
    'tile/00/000',
    'tile/7/000',
    'tile/9/000',
    'tile/-1/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000.p/',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/../000',
    'tile/entries/x1/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    'tile/0/x999/x999/x999/x999/x999/x999/999',
    'tile/data/000',
    'tile/0/000\n',
    '',
  ])('%j', (path) => {
    expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ code: 'tile.path' }));
  });
});

test.each([
  [-1, 0, 1],
  [7, 0, 1],
  [0, -1, 1],
  [0, 0.5, 1],
  [0, 0, 0],
  [0, 0, 257],
])('an address outside the log (%d, %d, %d) is a bug', (level, n, width) => {
  expect(() => tilePath(level, n, width)).toThrow(RangeError);
});

const entry = fc.uint8Array({ maxLength: 40 });

test('bundles round trip, and every proper prefix is short of entries or refused', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
      const bytes = encodeEntryBundle(entries);
      expect(decodeEntryBundle(bytes)).toEqual(entries);
      for (let end = 0; end < bytes.length; end += 1) {
        try {
          expect(decodeEntryBundle(bytes.subarray(0, end)).length).toBeLessThan(entries.length);
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('limits of a bundle', () => {
  const largest = new Uint8Array(65_535);
  expect(decodeEntryBundle(encodeEntryBundle([largest]))[0]).toHaveLength(65_535);
  const defect = expect.objectContaining({ code: 'tile.bundle' });
  expect(() => encodeEntryBundle([new Uint8Array(65_536)])).toThrow(defect);
  expect(() => encodeEntryBundle(Array.from({ length: 257 }, () => Uint8Array.of(1)))).toThrow(defect);
  expect(() => decodeEntryBundle(new Uint8Array(2 * 257))).toThrow(defect);
  expect(() => decodeEntryBundle(Uint8Array.of(0))).toThrow(defect);
  expect(decodeEntryBundle(new Uint8Array(2 * 256))).toHaveLength(256);
});

test('the tiles of a log: as the spec counts them, and never empty', () => {
  expect(tilesForSize(0)).toEqual([]);
  expect(tilesForSize(256)).toEqual([
    { level: 0, n: 0, width: 256 },
    { level: 1, n: 0, width: 1 },
  ]);
  fc.assert(
    fc.property(fc.nat(300_000), (size) => {
      const tiles = tilesForSize(size);
      for (let level = 0; level < 4; level += 1) {
        const own = tiles.filter((tile) => tile.level === level);
        const hashes = own.reduce((total, { width }) => total + width, 0);
        expect(hashes).toBe(Math.floor(size / TILE_WIDTH ** level));
        const partial = Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH;
        expect(own.filter(({ width }) => width < TILE_WIDTH).map(({ width }) => width)).toEqual(
          partial === 0 ? [] : [partial],
        );
        expect(own.every(({ n, width }, i) => n === i && width > 0)).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
});
