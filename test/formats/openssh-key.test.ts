import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import { encodePrivateKey, parsePrivateKey } from '../../daemon/formats/openssh-key.ts';
import { armor, unarmor } from '../../daemon/formats/ssh-wire.ts';

const LABEL = 'OPENSSH PRIVATE KEY';
const seed = new Uint8Array(32).fill(21);
const pem = encodePrivateKey({ seed, comment: 'op' });

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof BoundaryError) {
      expect(error.message).not.toContain(Buffer.from(seed).toString('base64').slice(4, 20));
      return error.code;
    }
    throw error;
  }
  return 'accepted';
}

test('round trip, whatever the comment makes of the padding', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      (key, comment) => {
        const parsed = parsePrivateKey(encodePrivateKey({ seed: key, comment }));
        expect(parsed).toEqual({ seed: key, publicKey: publicKeyOf(key), comment });
      },
    ),
    { numRuns: 40 },
  );
});

test('lines have 70 columns, as ssh-keygen writes them', () => {
  const lines = pem.trimEnd().split('\n').slice(1, -1);
  expect(lines.slice(0, -1).every((line) => line.length === 70)).toBe(true);
});

describe('damaged files', () => {
  const bytes = unarmor(LABEL, pem, 1 << 16) ?? new Uint8Array();

  test('any changed byte', () => {
    // The check numbers and the comment authenticate nothing, so a change there that stays consistent is not damage.
    const comment = bytes.length - 8;
    fc.assert(
      fc.property(fc.nat(comment - 9), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = bytes.slice();
        changed[at] = (changed[at] ?? 0) ^ change;
        expect(code(() => parsePrivateKey(armor(LABEL, changed)))).toMatch(/^sshkey\./);
      }),
      { numRuns: 200 },
    );
  });

  test('any prefix', () => {
    for (let end = 0; end < bytes.length; end += 1) {
      expect(code(() => parsePrivateKey(armor(LABEL, bytes.subarray(0, end))))).toBe('sshkey.malformed');
    }
    for (let end = 0; end < pem.length - 1; end += 1) {
      expect(code(() => parsePrivateKey(pem.slice(0, end)))).toBe('sshkey.malformed');
    }
  });

  test.each(['', 'hello', pem.replaceAll('OPENSSH', 'RSA'), `${pem}${pem}`, 'x'.repeat(1 << 17)])(
    '%.20s…',
    (text) => {
      expect(code(() => parsePrivateKey(text))).toBe('sshkey.malformed');
    },
  );
});
