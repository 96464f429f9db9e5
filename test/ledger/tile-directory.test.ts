import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../daemon/formats/digest.ts';
import { verifyConsistency } from '../../daemon/formats/merkle.ts';
import { decodeEntryBundle, encodeEntryBundle } from '../../daemon/formats/tile.ts';
import { createLedger, viewLedger } from '../../daemon/ledger/open.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { TileReader } from '../../daemon/ledger/tile-reader.ts';
import { verifyTileDirectory } from '../../daemon/ledger/verify-tiles.ts';
import { temporaryDir } from '../host/temporary.ts';
import {
  commitBatch,
  create,
  type Files,
  filesIn,
  grow,
  open,
  signerOf,
  storeHead,
  TRUST,
} from './fixture.ts';

/** Brings `directory` up to the ledger, as an export does. */
function extend(files: Files, directory: string): { from: number; size: number } {
  const view = viewLedger(files.ledger, TRUST);
  try {
    return extendTileDirectory(view, directory, { trust: TRUST });
  } finally {
    view.close();
  }
}

function made(entries: number): { files: Files; directory: string } {
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, entries, 100);
  storeHead(files, ledger);
  ledger.close();
  const directory = join(temporaryDir(), 'tiles');
  extend(files, directory);
  return { files, directory };
}

function verify(directory: string, headPath?: string) {
  return verifyTileDirectory({ directory, trust: TRUST, ...(headPath === undefined ? {} : { headPath }) });
}

/** Every file under a directory, with its bytes. */
function contents(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => statSync(join(directory, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name), 'hex')]));
}

describe('a tile directory', () => {
  test('that grows by pieces is the one that is written at once, at whatever sizes it stopped', async () => {
    const steps = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(steps, async (pieces) => {
        const files = filesIn(temporaryDir());
        const grown = join(temporaryDir(), 'grown');
        let size = 0;
        const writer = create(files);
        for (const piece of pieces) {
          grow(writer, piece, 64);
          expect(extendTileDirectory(writer, grown, { trust: TRUST })).toEqual({
            from: size,
            size: size + piece,
          });
          size += piece;
        }
        const once = join(temporaryDir(), 'once');
        extendTileDirectory(writer, once, { trust: TRUST });
        writer.close();
        expect(contents(grown)).toEqual(contents(once));
        expect((await verify(grown)).code).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  test('is left alone when there is nothing new', () => {
    const { files, directory } = made(300);
    const before = statSync(join(directory, 'checkpoint')).mtimeMs;
    expect(extend(files, directory)).toEqual({ from: 300, size: 300 });
    expect(statSync(join(directory, 'checkpoint')).mtimeMs).toBe(before);
  });

  test('is taken up where an attempt was cut off: its checkpoint says how far it goes', async () => {
    const { files, directory } = made(300);
    const old = readFileSync(join(directory, 'checkpoint'));
    const ledger = open(files);
    grow(ledger, 400, 50);
    ledger.close();
    extend(files, directory);
    // Everything of the second attempt but its checkpoint.
    writeFileSync(join(directory, 'checkpoint'), old);
    expect(extend(files, directory)).toEqual({ from: 300, size: 700 });
    expect((await verify(directory)).code).toBe(0);
  });

  test('of another log is not touched', () => {
    const { directory } = made(20);
    const { ledger: path, head: headPath } = filesIn(temporaryDir());
    const origin = 'outpost-8.example/ledger';
    const signer = signerOf(8, origin);
    const other = createLedger({ path, headPath, origin, signer });
    commitBatch(other, ['dec_1']);
    const trust = { origin, vkeys: [signer.vkey] };
    expect(() => extendTileDirectory(other, directory, { trust })).toThrow(
      expect.objectContaining({ code: 'tiles.other_log' }),
    );
    other.close();
  });

  test('that knows more than the ledger, or something else, is not touched', () => {
    const { directory } = made(300);
    const before = contents(directory);
    const shorter = create(filesIn(temporaryDir()));
    grow(shorter, 100, 100);
    expect(() => extendTileDirectory(shorter, directory, { trust: TRUST })).toThrow(
      expect.objectContaining({ code: 'tiles.ahead' }),
    );
    grow(shorter, 300, 30);
    expect(() => extendTileDirectory(shorter, directory, { trust: TRUST })).toThrow(
      expect.objectContaining({ code: 'tiles.other_history' }),
    );
    shorter.close();
    expect(contents(directory)).toEqual(before);
  });

  test('gives roots and proofs by its tiles alone', () => {
    const { files, directory } = made(700);
    const reader = TileReader.open(directory, TRUST);
    const view = viewLedger(files.ledger, TRUST);
    for (const size of [1, 100, 256, 300, 512, 700]) {
      expect(toHex(reader.root(size))).toBe(toHex(view.root(size)));
      const proof = reader.consistencyProof(size);
      expect(verifyConsistency(size, 700, proof, view.root(size), view.root())).toBe(true);
    }
    view.close();
  });
});

/** Damage to a directory of 700 entries, and what verification must answer: code, kind, and the index where it is about one. */
const DAMAGE: readonly [string, (directory: string) => void, number, string, number?][] = [
  [
    'an entry is altered',
    (d) => editEntry(d, '001', 4, (text) => text.replace('d 2', 'd 3')),
    10,
    'tree',
    260,
  ],
  ['an entry is no JSON', (d) => editEntry(d, '000', 9, (text) => `${text.slice(0, -1)}]`), 10, 'entry', 9],
  ['two entries change places', swapEntries, 10, 'entry', 7],
  ['an entry is left out', (d) => editBundle(d, '001', (entries) => entries.slice(1)), 10, 'entry', 256],
  ['a bundle is missing in the middle', (d) => rmSync(join(d, 'tile/entries/001')), 10, 'entry', 256],
  [
    'the last bundle is missing',
    (d) => rmSync(join(d, 'tile/entries/002.p'), { recursive: true }),
    14,
    'checkpoint',
    512,
  ],
  ['a tile is altered', (d) => flip(join(d, 'tile/0/000'), 70), 10, 'tree'],
  ['a tile is missing', (d) => rmSync(join(d, 'tile/0/001')), 10, 'tree'],
  ['a tile above is altered', (d) => flip(join(d, 'tile/1/000.p/2'), 3), 10, 'tree'],
  ['the checkpoint is missing', (d) => rmSync(join(d, 'checkpoint')), 14, 'checkpoint'],
  ['the checkpoint is altered', (d) => flip(join(d, 'checkpoint'), 30), 10, 'checkpoint'],
  ['it is of another log', (d) => rename(d), 13, 'trust'],
  ['it is no tile directory', (d) => rmSync(d, { recursive: true }) ?? mkdirSync(d), 10, 'kind'],
];

describe('verification of a tile directory', () => {
  test('finds nothing in a sound one, and that it reaches the stored head', async () => {
    const { directory: sound, files } = made(700);
    expect(await verify(sound, files.head)).toMatchObject({ code: 0, entries: 700, total: 0 });
  });

  test.each(DAMAGE)('%s', async (_name, damage, code, what, index) => {
    const { directory } = made(700);
    damage(directory);
    const report = await verify(directory);
    expect(report.code).toBe(code);
    expect(report.findings[0]).toMatchObject({ what, ...(index === undefined ? {} : { index }) });
  });

  test('any flipped byte in any file is noticed', async () => {
    const { directory: sound } = made(700);
    const names = Object.keys(contents(sound));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.nat(), async (name, place) => {
        const directory = join(temporaryDir(), 'tiles');
        cpSync(sound, directory, { recursive: true });
        const file = join(directory, name);
        flip(file, place % statSync(file).size);
        expect((await verify(directory)).code).not.toBe(0);
        rmSync(directory, { recursive: true });
      }),
      { numRuns: 40 },
    );
  });

  test('one that ends before the stored head was rolled back', async () => {
    const { files: later, directory } = made(300);
    const ledger = open(later);
    grow(ledger, 10, 10);
    storeHead(later, ledger);
    ledger.close();
    const report = await verify(directory, later.head);
    expect(report).toMatchObject({ code: 14, entries: 300 });
    expect(report.findings[0]).toMatchObject({ what: 'head' });
  });

  test('one of a log that another goes on for is verified by the keys of both', async () => {
    const { directory } = made(300);
    const next = signerOf(8, `${TRUST.origin}/2`);
    const trust = { origin: next.name, vkeys: [...TRUST.vkeys, next.vkey] };
    const report = await verifyTileDirectory({ directory, trust });
    expect(report).toMatchObject({ code: 0, entries: 300, origin: TRUST.origin });
    const strangers = await verifyTileDirectory({ directory, trust: { ...trust, vkeys: [next.vkey] } });
    expect(strangers.code).toBe(13);
  });

  test('one that does not exist is an error, not a finding', async () => {
    const missing = join(temporaryDir(), 'nothing');
    await expect(verify(missing)).rejects.toMatchObject({ code: 'file.missing' });
    expect(existsSync(missing)).toBe(false);
  });
});

function editBundle(directory: string, name: string, edit: (entries: Uint8Array[]) => Uint8Array[]): void {
  const file = join(directory, 'tile/entries', name);
  writeFileSync(file, encodeEntryBundle(edit(decodeEntryBundle(readFileSync(file)))));
}

function editEntry(directory: string, name: string, at: number, edit: (text: string) => string): void {
  editBundle(directory, name, (entries) =>
    entries.map((bytes, i) => (i === at ? Buffer.from(edit(Buffer.from(bytes).toString('utf8'))) : bytes)),
  );
}

function swapEntries(directory: string): void {
  // The first and the second entry of one stream.
  editBundle(directory, '000', (entries) => {
    const [earlier, later] = [entries[7], entries[13]];
    return entries.map((bytes, i) => (i === 7 ? later : i === 13 ? earlier : bytes)) as Uint8Array[];
  });
}

function flip(file: string, place: number): void {
  const bytes = readFileSync(file);
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

function rename(directory: string): void {
  const file = join(directory, 'checkpoint');
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll('outpost-7.example', 'outpost-8.example'));
}
