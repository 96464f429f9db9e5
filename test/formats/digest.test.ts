import { sha256 as nobleSha256, sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import {
  equalBytes,
  fromBase64,
  fromHex,
  isHexDigest,
  sha256,
  sha256Hex,
  sha512,
  toBase64,
  toHex,
} from '../../daemon/formats/digest.ts';

const bytes = fc.uint8Array({ maxLength: 300 });

test('hashes are those of the portable implementation', () => {
  fc.assert(
    fc.property(bytes, (data) => {
      expect(sha256(data)).toEqual(nobleSha256(data));
      expect(sha512(data)).toEqual(nobleSha512(data));
      expect(sha256Hex(data)).toBe(toHex(nobleSha256(data)));
    }),
  );
});

test('a view into a larger buffer hashes as its own bytes, and text as UTF-8', () => {
  const buffer = Uint8Array.from({ length: 100 }, (_, i) => i);
  expect(sha256(buffer.subarray(10, 20))).toEqual(sha256(buffer.slice(10, 20)));
  expect(toHex(buffer.subarray(1, 3))).toBe('0102');
  expect(sha256('é')).toEqual(sha256(Uint8Array.of(0xc3, 0xa9)));
});

test('hex and base64 round trips', () => {
  fc.assert(
    fc.property(bytes, (data) => {
      expect(fromHex(toHex(data))).toEqual(data);
      expect(fromBase64(toBase64(data))).toEqual(data);
    }),
  );
});

describe('one value has one encoding', () => {
  test.each(['A', 'AB', '0', 'zz', '0x', ' 00', '00\n', 'ab cd'])('hex %j is refused', (text) => {
    expect(() => fromHex(text)).toThrow(expect.objectContaining({ code: 'hex.malformed' }));
  });

  test.each(['QQ', 'QR==', 'QQ==\n', 'QQ=', 'QQ===', '=', 'Q Q=', '-_==', 'QUI=QUI=', 'QUJ='])(
    'base64 %j is refused',
    (text) => {
      expect(() => fromBase64(text)).toThrow(expect.objectContaining({ code: 'base64.malformed' }));
    },
  );

  test('any accepted text is what encoding writes', () => {
    const soup = fc.stringMatching(/^[A-Za-z0-9+/=_\- ]{0,12}$/);
    fc.assert(
      fc.property(soup, (text) => {
        try {
          expect(toBase64(fromBase64(text))).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
    );
  });
});

test('equalBytes and isHexDigest', () => {
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 2))).toBe(false);
  expect(isHexDigest('a'.repeat(64))).toBe(true);
  expect(isHexDigest('A'.repeat(64))).toBe(false);
  expect(isHexDigest(`${'a'.repeat(64)}\n`)).toBe(false);
  expect(isHexDigest(null)).toBe(false);
});
