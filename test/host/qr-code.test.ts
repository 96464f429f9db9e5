import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { decode, encode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { splitFrames } from '../../daemon/formats/qr-frames.ts';
import { isPng, readPicture } from '../../daemon/host/picture.ts';
import { codeAsPng, codeAsText, contentOf, framesInPng, framesOf } from '../../daemon/host/qr-code.ts';

const content = new TextEncoder().encode(
  JSON.stringify(Array.from({ length: 120 }, (_, i) => ({ n: i * 7919, text: `line ${i ** 3}` }))),
);
const installed = (tool: string) => spawnSync(tool, ['--version']).error === undefined;

describe('content in QR codes', () => {
  it.each(['terminal', 'paper'] as const)('comes back from the codes (%s)', async (where) => {
    const frames = framesOf('R', content, where);
    expect(frames.length).toBeGreaterThan(1);
    const read = await Promise.all(frames.map((frame) => framesInPng(codeAsPng(frame))));
    expect(contentOf(read.flat().reverse())).toEqual({ kind: 'R', content });
  });

  it('is read off a sheet that shows several codes', async () => {
    const pictures = framesOf('S', content, 'paper').map((frame) => readPicture(codeAsPng(frame)));
    const side = Math.max(...pictures.map(({ width }) => width));
    const data = new Uint8Array(side * side * pictures.length * 3).fill(255);
    pictures.forEach((picture, n) => {
      for (let y = 0; y < picture.height; y += 1) {
        const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
        data.set(row, (n * side + y) * side * 3);
      }
    });
    const sheet = encode({ width: side, height: side * pictures.length, data, channels: 3, depth: 8 });
    expect(contentOf(await framesInPng(sheet))).toEqual({ kind: 'S', content });
  });

  it('fits a terminal of 80 columns, without colours', () => {
    for (const frame of framesOf('R', content, 'terminal')) {
      const lines = codeAsText(frame).split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
      expect(lines.join('')).toMatch(/^[█▀▄ ]+$/);
    }
  });

  it('that unpacks to too much, or to nothing, is refused', () => {
    const bomb = framesOf('R', new Uint8Array(2_000_000), 'paper');
    expect(() => contentOf(bomb)).toThrow(expect.objectContaining({ code: 'qr.damaged' }));
    const junk = splitFrames('R', Uint8Array.from([255, 255, 255]), 200);
    expect(() => contentOf(junk)).toThrow(expect.objectContaining({ code: 'qr.damaged' }));
  });
});

describe('pictures', () => {
  const [frame = ''] = framesOf('S', content.subarray(0, 100), 'paper');
  const code = codeAsPng(frame);

  it('without a code of ours are told apart from pictures with one', async () => {
    const blank = encode({
      width: 200,
      height: 200,
      data: new Uint8Array(40_000).fill(255),
      channels: 1,
      depth: 8,
    });
    await expect(framesInPng(blank)).rejects.toMatchObject({ code: 'qr.missing' });
    const { width, data } = decode(code);
    const cut = encode({ width, height: 60, data: data.slice(0, width * 60), channels: 1, depth: 8 });
    await expect(framesInPng(cut)).rejects.toMatchObject({ code: 'qr.missing' });
  });

  it.each([
    ['grey, 16 bit', 1, 16],
    ['grey and alpha', 2, 8],
    ['colour', 3, 8],
    ['colour and alpha', 4, 8],
    ['colour and alpha, 16 bit', 4, 16],
  ] as const)('may be %s', async (_name, channels, depth) => {
    const { width, height, data } = decode(code);
    const most = depth === 16 ? 65_535 : 255;
    const values =
      depth === 16 ? new Uint16Array(width * height * channels) : new Uint8Array(width * height * channels);
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      for (let i = 0; i < channels; i += 1) {
        const alpha = (channels === 2 || channels === 4) && i === channels - 1;
        // What is white is left transparent, on black: drawn on paper it is white.
        const white = data[pixel] === 255;
        values[pixel * channels + i] = alpha ? (white ? 0 : most) : channels % 2 === 0 ? 0 : white ? most : 0;
      }
    }
    expect(await framesInPng(encode({ width, height, data: values, channels, depth }))).toEqual([frame]);
  });

  it('are not what their first bytes say only', () => {
    expect(isPng(code)).toBe(true);
    expect(isPng(new TextEncoder().encode('GIF89a'))).toBe(false);
    for (const length of [0, 8, 20, 33, 60, code.length - 20])
      expect(() => readPicture(code.subarray(0, length)), String(length)).toThrow(
        expect.objectContaining({ code: 'picture.malformed' }),
      );
    for (let at = 8; at < 120; at += 1) {
      const changed = code.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x41;
      try {
        readPicture(changed);
      } catch (error) {
        expect(error).toMatchObject({ name: 'BoundaryError' });
      }
    }
  });

  it('that claim or unpack to gigabytes cost nothing', () => {
    const png = (width: number, height: number, data: Buffer) =>
      Buffer.concat([
        Buffer.from('89504e470d0a1a0a', 'hex'),
        chunk('IHDR', Buffer.from([...uint32(width), ...uint32(height), 8, 0, 0, 0, 0])),
        chunk('IDAT', data),
        chunk('IEND', Buffer.alloc(0)),
      ]);
    const bomb = deflateSync(Buffer.alloc(50_000_000));
    expect(() => readPicture(png(100, 100, bomb))).toThrow(
      expect.objectContaining({
        code: 'picture.malformed',
        message: expect.stringContaining('size that it states'),
      }),
    );
    expect(() => readPicture(png(60_000, 60_000, bomb))).toThrow(
      expect.objectContaining({ code: 'picture.too_large' }),
    );
    expect(() => readPicture(png(0, 60_000, bomb))).toThrow(
      expect.objectContaining({ code: 'picture.malformed' }),
    );
  });
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function chunk(type: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  return Buffer.concat([uint32(body.length), named, uint32(crc32(named))]);
}

describe.skipIf(!installed('zbarimg') || !installed('qrencode'))(
  'other people’s tools (zbar-tools, qrencode)',
  () => {
    let dir: string;
    beforeAll(() => {
      dir = mkdtempSync(join(tmpdir(), 'holdfast-qr-'));
    });
    afterAll(() => rmSync(dir, { recursive: true, force: true }));

    it('read our codes', () => {
      for (const frame of framesOf('R', content, 'paper')) {
        const path = join(dir, 'ours.png');
        writeFileSync(path, codeAsPng(frame));
        const read = spawnSync('zbarimg', ['--quiet', '--raw', path], { encoding: 'utf8' });
        expect(read.stdout.trim()).toBe(frame);
      }
    });

    it('make codes that we read: one bit per pixel', async () => {
      for (const frame of framesOf('R', content, 'terminal')) {
        const path = join(dir, 'theirs.png');
        expect(spawnSync('qrencode', ['-o', path, '-s', '5', frame]).status).toBe(0);
        expect(readFileSync(path)[24]).toBe(1);
        expect(await framesInPng(readFileSync(path))).toEqual([frame]);
      }
    });
  },
);
