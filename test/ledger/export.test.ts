import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import { leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { decodeEntryBundle, entriesPath, tilePath } from '../../daemon/formats/tile.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { proveIndex } from '../../daemon/ledger/export.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { temporaryDir } from '../host/temporary.ts';
import { create, filesIn, grow, TRUST } from './fixture.ts';

function exported(entries: number): string {
  const directory = join(temporaryDir(), 'tiles');
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, entries, 100);
  ledger.close();
  const view = viewLedger(files.ledger, TRUST);
  expect(extendTileDirectory(view, directory, { trust: TRUST })).toEqual({ from: 0, size: entries });
  view.close();
  return directory;
}

describe('an export', () => {
  test('holds the entries under its checkpoint, by the public formats alone', () => {
    const directory = exported(700);
    const checkpoint = openCheckpoint(readFileSync(join(directory, 'checkpoint'), 'utf8'), TRUST);
    const bundles = [entriesPath(0), entriesPath(1), entriesPath(2, 188)];
    const leaves = bundles.flatMap((path) =>
      decodeEntryBundle(readFileSync(join(directory, path))).map(leafHash),
    );
    expect(leaves).toHaveLength(700);
    expect(toHex(rootOf(leaves))).toBe(toHex(checkpoint.root));
    const tiles = [tilePath(0, 0), tilePath(0, 1), tilePath(0, 2, 188)];
    expect(Buffer.concat(tiles.map((path) => readFileSync(join(directory, path))))).toEqual(
      Buffer.concat(leaves),
    );
    const above = Buffer.concat([rootOf(leaves.slice(0, 256)), rootOf(leaves.slice(256, 512))]);
    expect(readFileSync(join(directory, tilePath(1, 0, 2)))).toEqual(above);
  });

  test('has no partial tile where the size needs none, and leaves nothing else behind', () => {
    const directory = exported(512);
    expect(existsSync(join(directory, tilePath(0, 1)))).toBe(true);
    expect(readdirSync(directory).sort()).toEqual(['checkpoint', 'tile']);
    expect(readdirSync(join(directory, 'tile/0')).sort()).toEqual(['000', '001']);
  });

  test('of a ledger without entries is refused', () => {
    const ledger = create(filesIn(temporaryDir()));
    expect(() => extendTileDirectory(ledger, temporaryDir(), { trust: TRUST })).toThrow(/no entries yet/);
    expect(() => proveIndex(ledger, 0)).toThrow(/no entries yet/);
    ledger.close();
  });
});

test('the proof of an index verifies by itself', () => {
  const ledger = create(filesIn(temporaryDir()));
  grow(ledger, 300, 50);
  for (const index of [0, 1, 255, 256, 299]) {
    const verified = verifyProof(proveIndex(ledger, index), TRUST);
    expect(verified.index).toBe(index);
    expect(Buffer.from(verified.leaf)).toEqual(ledger.entry(index));
    expect(verified.checkpoint.size).toBe(300);
  }
  for (const index of [300, -1, 0.5, Number.NaN]) expect(() => proveIndex(ledger, index)).toThrow(/no entry/);
  ledger.close();
});
