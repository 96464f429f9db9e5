import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  parseDecimal,
} from '../../daemon/formats/checkpoint.ts';
import { sha256, toBase64 } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { EMPTY_ROOT, leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { cosignatureLine, formatVkey, signNote, TYPE_COSIGNATURE } from '../../daemon/formats/signed-note.ts';
import { decodeEntryBundle, entriesPath, tilePath, tilesForSize } from '../../daemon/formats/tile.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();
const ROOT = sha256('root');
const key = ed25519Signer(new Uint8Array(32).fill(4));
const origin = 'outpost-7.example/ledger';
const log = { name: origin, vkey: formatVkey(origin, key.publicKey), sign: key.sign };
const witness = {
  name: 'w.example',
  vkey: formatVkey('w.example', key.publicKey, TYPE_COSIGNATURE),
  sign: key.sign,
};
const text = formatCheckpoint({ origin, size: 7, root: ROOT });

describe.skipIf(dir === null)('the published log of 16 checkpoints', () => {
  const folder = join(dir ?? '', 'c2sp-tlog/tessera-testdata-log');
  const read = (path: string) => new Uint8Array(readFileSync(join(folder, path)));
  const vkey = () =>
    (JSON.parse(readFileSync(join(folder, '../c2sp-vectors.json'), 'utf8')) as { tessera: { vkey: string } })
      .tessera.vkey;

  test.each(Array.from({ length: 16 }, (_, size) => size))(
    'size %i: signature, root, tiles and bundle',
    (size) => {
      const checkpoint = openCheckpoint(read(`checkpoint.${size}`), {
        origin: 'example.com/log/testdata',
        vkeys: [vkey()],
      });
      expect(checkpoint.size).toBe(size);
      expect(formatCheckpoint(checkpoint)).toBe(checkpoint.text);
      if (size === 0) {
        expect(checkpoint.root).toEqual(EMPTY_ROOT);
        return;
      }
      const entries = decodeEntryBundle(read(entriesPath(0, size)));
      const leaves = entries.map(leafHash);
      expect(entries).toHaveLength(size);
      expect(rootOf(leaves)).toEqual(checkpoint.root);
      expect(tilesForSize(size)).toEqual([{ level: 0, n: 0, width: size }]);
      expect(new Uint8Array(Buffer.concat(leaves))).toEqual(read(tilePath(0, 0, size)));
    },
  );
});

test('round trip', () => {
  expect(parseCheckpoint(text)).toEqual({ origin, size: 7, root: ROOT });
  expect(formatCheckpoint(parseCheckpoint(text))).toBe(text);
});

test('extension lines are tolerated, and signed', () => {
  expect(parseCheckpoint(`${text}extension\n`)).toMatchObject({ size: 7 });
  const note = signNote(`${text}extension\n`, [log]);
  expect(openCheckpoint(note, { vkeys: [log.vkey] }).text).toBe(`${text}extension\n`);
});

describe('what is not a checkpoint', () => {
  const root = toBase64(ROOT);
  test.each([
    ['no newline at the end', text.slice(0, -1)],
    ['an empty origin', `\n7\n${root}\n`],
    ['a missing root', `${origin}\n7\n`],
    ['a leading zero', `${origin}\n07\n${root}\n`],
    ['a sign', `${origin}\n+7\n${root}\n`],
    ['a space', `${origin}\n7 \n${root}\n`],
    ['an exponent', `${origin}\n1e3\n${root}\n`],
    ['a size of 2^53', `${origin}\n9007199254740992\n${root}\n`],
    ['a short root', `${origin}\n7\n${toBase64(ROOT.subarray(1))}\n`],
    ['a root without padding', `${origin}\n7\n${root.slice(0, -1)}\n`],
    ['an empty extension line', `${text}\n`],
    ['an empty tree with a root', `${origin}\n0\n${root}\n`],
    ['nothing', ''],
  ])('%s', (_, bad) => {
    expect(() => parseCheckpoint(bad)).toThrow(expect.objectContaining({ code: 'checkpoint.malformed' }));
  });
});

describe('opening', () => {
  const note = signNote(text, [log]);

  test('under the right origin and key', () => {
    expect(openCheckpoint(note, { origin, vkeys: [log.vkey] })).toMatchObject({ origin, size: 7, text });
    expect(openCheckpoint(note, { vkeys: [log.vkey] })).toMatchObject({ origin, size: 7 });
  });

  test('another origin, expected or in the key name', () => {
    const mismatch = expect.objectContaining({ code: 'checkpoint.origin_mismatch' });
    expect(() => openCheckpoint(note, { origin: 'other/ledger', vkeys: [log.vkey] })).toThrow(mismatch);
    const other = { ...log, name: 'other', vkey: formatVkey('other', key.publicKey) };
    expect(() => openCheckpoint(signNote(text, [other]), { vkeys: [other.vkey] })).toThrow(mismatch);
  });

  test('a witness alone does not make it the log’s', () => {
    const cosigned = `${text}\n${cosignatureLine(text, witness, 1)}`;
    expect(() => openCheckpoint(cosigned, { origin, vkeys: [log.vkey, witness.vkey] })).toThrow(
      expect.objectContaining({ code: 'checkpoint.not_signed_by_log' }),
    );
  });
});

test.each([
  ['0', 0],
  ['9007199254740991', 9007199254740991],
  ['9007199254740992', null],
  ['00', null],
  ['-1', null],
  ['', null],
  ['1.0', null],
  ['١', null],
])('the decimal %j', (decimal, value) => {
  expect(parseDecimal(decimal)).toBe(value);
});
