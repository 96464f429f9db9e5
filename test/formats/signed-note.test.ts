import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { fromBase64, toBase64 } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  cosignatureLine,
  cosignatureMessage,
  formatVkey,
  keyId,
  type NoteSigner,
  openNote,
  parseNote,
  parseVkey,
  signNote,
  TYPE_COSIGNATURE,
} from '../../daemon/formats/signed-note.ts';
import { codeOf } from '../codes.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();

interface Vectors {
  notes: { vkey: string; note: string; skey?: string }[];
  tessera: { vkey: string; skey: string };
  vkeys: { ed25519Cosignature: { vkey: string }; mldsa44: { vkey: string; specKeyId: string } };
  generatedCosignatures: {
    checkpoint: string;
    cosigs: { name: string; timestamp: number; vkey: string; signedMessage: string; line: string }[];
  };
}

function vectors(): Vectors {
  return JSON.parse(readFileSync(join(dir ?? '', 'c2sp-tlog/c2sp-vectors.json'), 'utf8')) as Vectors;
}

function signer(name: string, fill: number, type?: typeof TYPE_COSIGNATURE): NoteSigner {
  const key = ed25519Signer(new Uint8Array(32).fill(fill));
  return { name, vkey: formatVkey(name, key.publicKey, type), sign: key.sign };
}

const alice = signer('alice.example/log', 1);
const bob = signer('bob.example', 2);
const witness = signer('w.example', 3, TYPE_COSIGNATURE);
const TEXT = 'alice.example/log\nline two\n\nafter a blank line\n';
const NOTE = signNote(TEXT, [alice, bob]);

describe.skipIf(dir === null)('published notes', () => {
  test('open under their vkeys, and sign to the same bytes from the published seeds', () => {
    for (const { vkey, note, skey } of vectors().notes) {
      const opened = openNote(note, [vkey]);
      expect(opened.verified).toMatchObject([{ vkey, timestamp: null }]);
      expect(opened.unknown).toBe(0);
      if (skey !== undefined) {
        const [name, seed] = [
          parseVkey(vkey).name,
          fromBase64(skey.split('+').slice(4).join('+')).subarray(1),
        ];
        expect(signNote(opened.text, [{ name, vkey, sign: ed25519Signer(seed).sign }])).toBe(note);
      }
    }
  });

  test('cosignatures verify with their time, and are rebuilt byte for byte', () => {
    const { checkpoint, cosigs } = vectors().generatedCosignatures;
    const note = checkpoint + cosigs.map(({ line }) => line).join('');
    const opened = openNote(note, [vectors().tessera.vkey, ...cosigs.map(({ vkey }) => vkey)]);
    expect(opened.verified.map(({ timestamp }) => timestamp)).toEqual([null, 1_700_000_000, 1_700_000_001]);
    for (const { timestamp, signedMessage, vkey, line } of cosigs) {
      expect(Buffer.from(cosignatureMessage(opened.text, timestamp)).toString()).toBe(signedMessage);
      expect(openNote(`${opened.text}\n${line}`, [vkey]).verified).toHaveLength(1);
    }
  });

  test('a vkey with a wrong key id is rejected, a cosigner vkey with the right one accepted', () => {
    const { mldsa44, ed25519Cosignature } = vectors().vkeys;
    expect(codeOf(() => parseVkey(mldsa44.vkey))).toBe('vkey.key_id');
    const corrected = mldsa44.vkey.replace(/\+[0-9a-f]{8}\+/, `+${mldsa44.specKeyId}+`);
    expect(codeOf(() => parseVkey(corrected))).toBe('vkey.unsupported');
    expect(parseVkey(ed25519Cosignature.vkey)).toMatchObject({
      name: 'remora.n621.de',
      type: TYPE_COSIGNATURE,
    });
  });
});

describe('vkeys', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9./-]{1,20}$/),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (name, key) => {
          const parsed = parseVkey(formatVkey(name, key));
          expect(parsed).toMatchObject({ name, type: 1, publicKey: key, keyId: keyId(name, 1, key) });
        },
      ),
    );
  });

  test.each(['', ' ', 'a b', 'a+b', 'a\u00a0b', 'a\u2003b', 'a\u0085', 'a\n'])(
    'the name %j is refused',
    (name) => {
      expect(codeOf(() => formatVkey(name, new Uint8Array(32)))).toBe('vkey.malformed');
    },
  );

  test('every other byte is refused', () => {
    for (let i = 0; i < alice.vkey.length; i += 1) {
      const changed = `${alice.vkey.slice(0, i)}${alice.vkey[i] === 'A' ? 'B' : 'A'}${alice.vkey.slice(i + 1)}`;
      expect(codeOf(() => parseVkey(changed))).toMatch(/^(vkey|base64)\./);
      expect(codeOf(() => parseVkey(alice.vkey.slice(0, i)))).toMatch(/^(vkey|base64)\./);
    }
  });

  test('a key of the wrong length is refused', () => {
    const id = keyId('x', 1, new Uint8Array(31));
    expect(codeOf(() => parseVkey(`x+${id}+${toBase64(new Uint8Array(32).fill(1, 0, 1))}`))).toBe(
      'vkey.malformed',
    );
  });
});

describe('opening a note', () => {
  test('text may hold blank lines; the last one splits', () => {
    expect(openNote(NOTE, [alice.vkey]).text).toBe(TEXT);
    expect(openNote(new TextEncoder().encode(NOTE), [alice.vkey]).text).toBe(TEXT);
  });

  test('unknown keys are ignored, even with a known name', () => {
    const other = signer(alice.name, 9);
    const opened = openNote(signNote(TEXT, [other, bob, alice]), [alice.vkey]);
    expect(opened.verified.map(({ vkey }) => vkey)).toEqual([alice.vkey]);
    expect(opened.unknown).toBe(2);
  });

  test('a known key that fails rejects the note, though another verifies', () => {
    const line = signNote('other\n', [bob]).split('\n').at(-2);
    const mixed = `${signNote(TEXT, [alice])}${line}\n`;
    expect(openNote(mixed, [alice.vkey]).unknown).toBe(1);
    expect(codeOf(() => openNote(mixed, [alice.vkey, bob.vkey]))).toBe('note.bad_signature');
  });

  test('at least one known key must have signed', () => {
    expect(codeOf(() => openNote(NOTE, [signer('c', 5).vkey]))).toBe('note.no_known_signature');
    expect(codeOf(() => openNote(NOTE, []))).toBe('note.no_known_signature');
  });

  test('one key that signed twice counts once', () => {
    const twice = NOTE + NOTE.slice(TEXT.length + 1);
    expect(openNote(twice, [alice.vkey]).verified).toHaveLength(1);
  });

  test('16 signatures and more are fine, a flood is not', () => {
    const many = (count: number) =>
      signNote(
        TEXT,
        Array.from({ length: count }, (_, i) => signer(`s${i}`, i + 1)),
      );
    expect(openNote(many(64), [signer('s15', 16).vkey]).unknown).toBe(63);
    expect(codeOf(() => parseNote(many(65)))).toBe('note.too_many_signatures');
    expect(codeOf(() => parseNote(`${'x'.repeat(1 << 20)}${NOTE}`))).toBe('note.too_large');
  });

  test('a cosignature is bound to its time', () => {
    const note = signNote(TEXT, [alice]) + cosignatureLine(TEXT, witness, 1_800_000_000);
    expect(openNote(note, [witness.vkey]).verified).toMatchObject([
      { timestamp: 1_800_000_000, type: TYPE_COSIGNATURE },
    ]);
    const signature = parseNote(note).signatures[1]?.signature ?? new Uint8Array();
    for (const at of [0, 7]) {
      const moved = signature.slice();
      moved[at] = (moved[at] ?? 0) ^ 1;
      const id = Buffer.from(parseVkey(witness.vkey).keyId, 'hex');
      const line = `— ${witness.name} ${Buffer.concat([id, moved]).toString('base64')}\n`;
      expect(codeOf(() => openNote(signNote(TEXT, [alice]) + line, [witness.vkey]))).toBe(
        'note.bad_signature',
      );
    }
  });

  test('a plain signature by a cosigner key, or of another length, does not count', () => {
    const { name } = witness;
    const id = Buffer.from(parseVkey(witness.vkey).keyId, 'hex');
    const plain = Buffer.concat([id, witness.sign(new TextEncoder().encode(TEXT))]).toString('base64');
    expect(codeOf(() => openNote(`${TEXT}\n— ${name} ${plain}\n`, [witness.vkey]))).toBe(
      'note.bad_signature',
    );
    const short = Buffer.concat([Buffer.from(parseVkey(alice.vkey).keyId, 'hex'), Buffer.alloc(5)]).toString(
      'base64',
    );
    expect(codeOf(() => openNote(`${TEXT}\n— ${alice.name} ${short}\n`, [alice.vkey]))).toBe(
      'note.bad_signature',
    );
  });
});

describe('what is not a note', () => {
  const line = NOTE.split('\n').at(-2) ?? '';
  test.each([
    ['no blank line', `text\n${line}\n`],
    ['no final newline', NOTE.slice(0, -1)],
    ['no signature', 'text\n\n'],
    ['two spaces', `text\n\n${line.replace('— ', '—  ')}\n`],
    ['a hyphen for the dash', `text\n\n${line.replace('—', '-')}\n`],
    ['a trailing space', `text\n\n${line} \n`],
    ['a carriage return', `text\r\n\n${line}\n`],
    ['a tab in the text', `te\txt\n\n${line}\n`],
    ['a lone surrogate', `te\ud800xt\n\n${line}\n`],
    ['a plus in the name', `text\n\n— a+b ${line.split(' ')[2]}\n`],
    ['a signature without bytes', 'text\n\n— a AAAAAA==\n'],
  ])('%s', (_, note) => {
    expect(codeOf(() => openNote(note, [alice.vkey]))).toBe('note.malformed');
  });

  test('bytes that are not UTF-8', () => {
    const bytes = new Uint8Array(Buffer.concat([Buffer.from([0xff]), Buffer.from(NOTE)]));
    expect(codeOf(() => parseNote(bytes))).toBe('note.malformed');
  });

  test('a byte order mark is text, not decoration', () => {
    expect(codeOf(() => openNote(new TextEncoder().encode(`\ufeff${NOTE}`), [alice.vkey]))).toBe(
      'note.bad_signature',
    );
  });
});

test('every changed byte of a note is refused', () => {
  const bytes = new TextEncoder().encode(NOTE);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ change;
      try {
        // Damage to one signature's name or key id makes it unknown; it must never leave both counted.
        expect(openNote(changed, [alice.vkey, bob.vkey]).verified.length).toBeLessThan(2);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
      }
    }),
    { numRuns: 150 },
  );
});

test('every prefix is refused or loses a signature', () => {
  for (let end = 0; end < NOTE.length; end += 1) {
    try {
      expect(openNote(NOTE.slice(0, end), [alice.vkey, bob.vkey]).verified.length).toBe(1);
    } catch (error) {
      expect(error).toBeInstanceOf(BoundaryError);
    }
  }
});

test('signing refuses text that no note can hold, and a signer under a foreign name', () => {
  expect(() => signNote('no newline', [alice])).toThrow(RangeError);
  expect(() => signNote('a\tb\n', [alice])).toThrow(RangeError);
  expect(() => signNote(TEXT, [{ ...alice, name: 'mallory' }])).toThrow(RangeError);
});
