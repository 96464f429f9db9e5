import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import {
  appendAnswer,
  COSIGNED_NAME,
  cosign,
  cosignedName,
  formatCosigned,
  mergeNotes,
  openCosigned,
  witnessSigner,
} from '../../daemon/formats/cosignature.ts';
import { sha256, toHex } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  formatVkey,
  type NoteSigner,
  openNote,
  parseVkey,
  signNote,
} from '../../daemon/formats/signed-note.ts';
import { codeOf } from '../codes.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();
const ORIGIN = 'outpost-7.example/ledger';
const TIME = 1_900_000_000;

function signer(name: string, fill: number): NoteSigner {
  const key = ed25519Signer(new Uint8Array(32).fill(fill));
  return { name, vkey: formatVkey(name, key.publicKey), sign: key.sign };
}

const log = signer(ORIGIN, 1);
const stranger = signer(ORIGIN, 9);
const [w1, w2] = [witnessSigner(signer('w1.example', 2)), witnessSigner(signer('w2.example', 3))];
const TRUST = {
  log: { origin: ORIGIN, vkeys: [log.vkey] },
  witnesses: [parseVkey(w1.vkey), parseVkey(w2.vkey)],
};
const note = noteOf(7, 'seven');

function noteOf(size: number, what: string, by = log): string {
  return signNote(formatCheckpoint({ origin: ORIGIN, size, root: sha256(Buffer.from(what)) }), [by]);
}

/** The same line with one bit of its signature turned. */
function forged(line: string): string {
  const [dash, name, encoded] = line.trimEnd().split(' ');
  const bytes = Buffer.from(encoded ?? '', 'base64');
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  return `${dash} ${name} ${bytes.toString('base64')}\n`;
}

function lastLine(text: string): string {
  return `${text.trimEnd().split('\n').at(-1)}\n`;
}

describe('a cosigned checkpoint', () => {
  test('names each witness with its time', () => {
    const both = cosign(cosign(note, w1, TIME), w2, TIME + 5);
    const opened = openCosigned(both, TRUST);
    expect(opened).toMatchObject({ origin: ORIGIN, size: 7, bad: [], unknown: 0 });
    expect(opened.cosignatures.map(({ witness, vkey, time }) => ({ witness, vkey, time }))).toEqual([
      { witness: 'w1.example', vkey: w1.vkey, time: TIME },
      { witness: 'w2.example', vkey: w2.vkey, time: TIME + 5 },
    ]);
    expect(formatCosigned(opened, opened.cosignatures)).toBe(both);
  });

  test('is the same to a verifier of plain notes', () => {
    const opened = openNote(cosign(note, w1, TIME), [log.vkey, w1.vkey]);
    expect(opened.verified).toMatchObject([{ timestamp: null }, { name: 'w1.example', timestamp: TIME }]);
  });

  test('counts the newest of several words of one witness', () => {
    const twice = cosign(cosign(note, w1, TIME + 9), w1, TIME);
    expect(openCosigned(twice, TRUST).cosignatures).toMatchObject([{ time: TIME + 9 }]);
  });

  test('is not spoilt by what others append', () => {
    const good = cosign(note, w1, TIME);
    const bad = forged(lastLine(cosign(note, w2, TIME)));
    const badLog = forged(lastLine(note));
    const opened = openCosigned(good + bad + badLog, TRUST);
    expect(opened.cosignatures).toMatchObject([{ witness: 'w1.example' }]);
    expect(opened.bad).toEqual(['w2.example']);
    expect(opened.unknown).toBe(1);
  });

  test('passes over signatures of types that are not known', () => {
    // The form of an ML-DSA-44 cosignature: key id, time, 2,420 bytes.
    const line = `— w1.example ${Buffer.alloc(4 + 8 + 2_420, 6).toString('base64')}\n`;
    expect(openCosigned(cosign(note, w1, TIME) + line, TRUST)).toMatchObject({
      cosignatures: [{ witness: 'w1.example' }],
      unknown: 1,
    });
  });

  test('a cosignature of another checkpoint does not count', () => {
    const elsewhere = lastLine(cosign(noteOf(8, 'eight'), w1, TIME));
    expect(openCosigned(note + elsewhere, TRUST)).toMatchObject({ cosignatures: [], bad: ['w1.example'] });
  });

  test('that the log did not sign is refused, whoever cosigned it', () => {
    const foreign = cosign(noteOf(7, 'seven', stranger), w1, TIME);
    expect(codeOf(() => openCosigned(foreign, TRUST))).toBe('note.no_known_signature');
    const unsigned = formatCosigned({ text: `${ORIGIN}\n7\n`, logLines: [] }, [
      { line: lastLine(cosign(note, w1, TIME)) },
    ]);
    expect(() => openCosigned(unsigned, TRUST)).toThrow(BoundaryError);
    expect(codeOf(() => openCosigned('x'.repeat(40_000), TRUST))).toBe('cosignature.malformed');
  });

  test('of another log is refused', () => {
    const other = signer('other.example/ledger', 4);
    const text = formatCheckpoint({
      origin: 'other.example/ledger',
      size: 7,
      root: sha256(Buffer.from('x')),
    });
    const trust = { ...TRUST, log: { origin: ORIGIN, vkeys: [other.vkey] } };
    expect(codeOf(() => openCosigned(signNote(text, [other]), trust))).toBe('checkpoint.origin_mismatch');
  });

  test('never lets through what noble and the plain verifier refuse: any flipped bit', () => {
    const whole = Buffer.from(cosign(note, w1, TIME), 'utf8');
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        try {
          const { text, cosignatures } = openCosigned(bytes, TRUST);
          // What still opens is the same checkpoint; it may have lost its cosignature, not gained another.
          expect(toHex(Buffer.from(text))).toBe(toHex(Buffer.from(whole.subarray(0, text.length))));
          expect(cosignatures.every(({ time }) => time === TIME)).toBe(true);
        } catch (error) {
          if (!(error instanceof BoundaryError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('notes', () => {
  test('of one checkpoint become one', () => {
    const [one, two] = [cosign(note, w1, TIME), cosign(note, w2, TIME)];
    expect(mergeNotes([one, two, one])).toBe(cosign(one, w2, TIME));
    expect(() => mergeNotes([one, noteOf(8, 'eight')])).toThrow(RangeError);
  });

  test('take a witness’s answer at their end', () => {
    const line = lastLine(cosign(note, w1, TIME));
    expect(appendAnswer(note, line)).toBe(cosign(note, w1, TIME));
    for (const answer of [
      '',
      '\n',
      'no line\n',
      line.trimEnd(),
      `${line}\n${line}`,
      `${line}old 3\n`,
      line.repeat(17),
    ])
      expect(codeOf(() => appendAnswer(note, answer))).toBe('cosignature.malformed');
  });

  test('any answer is taken whole as signature lines, or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (answer) => {
        try {
          expect(appendAnswer(note, answer)).toBe(note + answer);
        } catch (error) {
          if (!(error instanceof BoundaryError)) throw error;
        }
      }),
    );
  });

  test('lie under names that carry their size', () => {
    expect(cosignedName(7, 'w1.example/a')).toBe('7-w1.example_a.note');
    expect(COSIGNED_NAME.exec('7-w1.example_a.note')?.[1]).toBe('7');
    for (const name of ['07-w.note', '../7-w.note', '7-.note', '7-a/b.note'])
      expect(COSIGNED_NAME.test(name)).toBe(false);
  });
});

describe.skipIf(dir === null)('published cosignatures', () => {
  test('hold, with the times that they were made at', () => {
    const vectors = JSON.parse(readFileSync(join(dir ?? '', 'c2sp-tlog/c2sp-vectors.json'), 'utf8')) as {
      tessera: { vkey: string };
      generatedCosignatures: {
        checkpoint: string;
        cosigs: { name: string; timestamp: number; vkey: string; line: string }[];
      };
    };
    const { checkpoint, cosigs } = vectors.generatedCosignatures;
    const answer = cosigs.map(({ line }) => line).join('');
    const opened = openCosigned(appendAnswer(checkpoint, answer), {
      log: { vkeys: [vectors.tessera.vkey] },
      witnesses: cosigs.map(({ vkey }) => parseVkey(vkey)),
    });
    expect(opened.cosignatures).toEqual(
      cosigs.map(({ name, timestamp, vkey, line }) => ({ witness: name, vkey, time: timestamp, line })),
    );
  });
});
