import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { encode } from 'fast-png';
import { readCarried } from '../../../daemon/commands/carried.ts';
import { BoundaryError } from '../../../daemon/formats/boundary-error.ts';
import { isFrame, joinFrames, splitFrames } from '../../../daemon/formats/qr-frames.ts';
import { isPng, readPicture } from '../../../daemon/host/picture.ts';
import { codeAsPng, contentOf, framesInPng, framesOf } from '../../../daemon/host/qr-code.ts';
import { bytes, refusedAs, type Target, text } from '../target.ts';

/* What comes as pictures and as lines of text, and whatever a person names as a file that was carried. */

const CONTENT = Buffer.from(JSON.stringify({ act: '{"answer":"approve"}', signature: 'x'.repeat(700) }));
const frames = framesOf('S', CONTENT, 'terminal');
const PAPER = framesOf('S', CONTENT, 'paper');
const png = codeAsPng(PAPER[0] ?? '');

/** A picture of each kind that PNG knows, small. */
function pictures(): Uint8Array[] {
  const kinds = [
    { channels: 1, depth: 8 },
    { channels: 2, depth: 8 },
    { channels: 3, depth: 16 },
    { channels: 4, depth: 8 },
  ] as const;
  return kinds.map(({ channels, depth }) => {
    const data = depth === 16 ? new Uint16Array(8 * 8 * channels) : new Uint8Array(8 * 8 * channels);
    return encode({ width: 8, height: 8, channels, depth, data });
  });
}

const dir = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));

export async function targets(): Promise<Target[]> {
  return [
    text('qr-frames', {
      covers: ['joinFrames', 'isFrame', 'contentOf'],
      seeds: [frames.join('\n'), splitFrames('R', CONTENT, 200).join('\n')],
      read(input) {
        const lines = input.split('\n');
        isFrame(lines[0] ?? '');
        const { kind, bytes: joined } = joinFrames(lines);
        try {
          contentOf(lines);
        } catch (error) {
          // It may be no compressed content.
          if (!(error instanceof BoundaryError)) throw error;
        }
        return { kind, joined };
      },
      words: ['HF1.S.', '.64.64.', '.1.1.', 'HF1.Q.'],
    }),
    bytes('qr-content', {
      covers: ['contentOf'],
      seeds: [deflateRawSync(CONTENT), deflateRawSync(Buffer.alloc(100_000))],
      // Frames that add up, whatever they hold.
      read(input) {
        if (input.length > 8_000) return refusedAs('too large');
        return contentOf(splitFrames('A', input.length === 0 ? Buffer.of(3, 0) : input, 4_000));
      },
    }),
    bytes('png', {
      covers: ['readPicture', 'isPng'],
      seeds: [...pictures(), png],
      read(input) {
        isPng(input);
        const { width, height, data } = readPicture(input);
        if (data.length !== width * height * 3) throw new Error('a picture of another size than it says');
        return [width, height];
      },
      words: ['IHDR', 'IDAT', 'IEND', 'PLTE', 'zTXt', 'iCCP'],
    }),
    bytes('png-of-codes', {
      covers: ['framesInPng'],
      seeds: [png],
      read: framesInPng,
      cpuMs: 15_000,
    }),
    bytes('carried-file', {
      covers: ['readCarried'],
      seeds: [Buffer.from(frames.join('\n')), CONTENT, Buffer.from('{"answer":"approve"}')],
      async read(input) {
        const path = join(dir, 'carried');
        writeFileSync(path, input);
        const found = await readCarried([path]);
        return found.map((one) => one.is);
      },
      words: ['-----BEGIN SSH SIGNATURE-----\n', '"type":"holdfast/approval-request/v1"}', 'HF1.'],
    }),
  ];
}
