import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ANCHOR_MAX_BYTES,
  anchorHead,
  anchorName,
  continues,
  formatAnchor,
  parseAnchor,
  parseAnchorName,
} from '../../daemon/formats/anchor.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { sha256, toBase64 } from '../../daemon/formats/digest.ts';
import { publicKeyOf, signEd25519 } from '../../daemon/formats/ed25519.ts';
import { consistencyRanges, leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';
import { codeOf } from '../codes.ts';

const ORIGIN = 'outpost-7.example/ledger';
const seed = new Uint8Array(32).fill(3);
const signer = {
  name: ORIGIN,
  vkey: formatVkey(ORIGIN, publicKeyOf(seed)),
  sign: (text: Uint8Array) => signEd25519(seed, text),
};
const leaves = Array.from({ length: 40 }, (_, n) => leafHash(Buffer.from(`entry ${n}`)));

function anchorOf(old: number, size: number): string {
  const hashes = leaves.slice(0, size);
  const proof = consistencyRanges(old, size).map(({ start, end }) => rootOf(hashes.slice(start, end)));
  const checkpoint = signNote(formatCheckpoint({ origin: ORIGIN, size, root: rootOf(hashes) }), [signer]);
  return formatAnchor({ old, proof, checkpoint });
}

const sizes = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 40 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

describe('an anchor', () => {
  it('is the body of an add-checkpoint request (C2SP tlog-witness)', () => {
    const [hash] = leaves as [Uint8Array];
    const checkpoint = signNote(
      formatCheckpoint({ origin: ORIGIN, size: 2, root: rootOf(leaves.slice(0, 2)) }),
      [signer],
    );
    expect(anchorOf(0, 2)).toBe(`old 0\n\n${checkpoint}`);
    expect(anchorOf(1, 2)).toBe(`old 1\n${toBase64(leaves[1] ?? hash)}\n\n${checkpoint}`);
  });

  it('comes out as it went in, as text and as bytes', () => {
    fc.assert(
      fc.property(sizes, ([old, size]) => {
        const text = anchorOf(old, size);
        const anchor = parseAnchor(text);
        expect(parseAnchor(Buffer.from(text))).toEqual(anchor);
        expect(formatAnchor(anchor)).toBe(text);
        expect(anchorHead(anchor)).toMatchObject({ origin: ORIGIN, size });
        expect(continues(anchor, rootOf(leaves.slice(0, old)))).toBe(true);
        if (old > 0) expect(continues(anchor, sha256('another tree'))).toBe(false);
      }),
    );
  });

  it('is read strictly', () => {
    const good = anchorOf(3, 7);
    const wrong = [
      '',
      '\n\n',
      'old 3',
      good.replace('old 3', 'old 03'),
      good.replace('old 3', 'old -3'),
      good.replace('old 3', 'old 8'),
      good.replace('old 3', 'old 3 '),
      good.replace('old 3', 'OLD 3'),
      good.replace('old 3', 'old 9007199254740993'),
      good.replace('old 3\n', 'old 3\r\n'),
      good.replace('old 3\n', 'old 3\n\n'),
      good.replace('old 3\n', 'old 3\nnot base64\n'),
      good.replace('old 3\n', `old 3\n${toBase64(new Uint8Array(31))}\n`),
      good.replace('old 3\n', `old 3\n${`${toBase64(new Uint8Array(32))}\n`.repeat(64)}`),
      good.replace('old 3', 'old 0'),
      `${good}${'x'.repeat(ANCHOR_MAX_BYTES)}`,
    ];
    for (const text of wrong)
      expect([text.slice(0, 20), codeOf(() => parseAnchor(text))]).toEqual([
        text.slice(0, 20),
        expect.stringMatching(/^(anchor|note|checkpoint)\./),
      ]);
    expect(codeOf(() => parseAnchor(Uint8Array.of(0xff, 0xfe)))).toBe('anchor.malformed');
  });

  it('never throws anything but what is wrong with it', () => {
    const good = Buffer.from(anchorOf(3, 7));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
        const bytes = Buffer.from(good);
        bytes[at] = byte;
        for (const changed of [bytes, good.subarray(0, length), Buffer.concat([bytes, good])])
          expect(codeOf(() => parseAnchor(changed)) ?? 'note.').toMatch(
            /^(accepted|(anchor|note|checkpoint|base64)\..*)$/,
          );
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(codeOf(() => parseAnchor(bytes))).not.toBe('accepted');
      }),
    );
  });
});

describe('the name of an anchor', () => {
  it('sorts as sizes do, and says them', () => {
    const name = anchorName({ old: 9, size: 12_345 });
    expect(name).toBe('000000000009-000000012345.anchor');
    expect(parseAnchorName(name)).toEqual({ old: 9, size: 12_345 });
    expect(
      ['x', `${name}x`, `x${name}`, '9-12345.anchor', '000000000009-000000012345'].map(parseAnchorName),
    ).toEqual([null, null, null, null, null]);
  });
});
