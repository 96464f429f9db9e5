import { inflateSync } from 'node:zlib';
import { decode } from 'fast-png';
import { BoundaryError } from '../formats/boundary-error.ts';

/** Pixels as `width * height` times red, green, blue. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** A photograph of 12 megapixels as PNG. */
export const PICTURE_MAX_BYTES = 40 * 1024 * 1024;
const MAX_PIXELS = 16_000_000;
const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** The chunks without which there is no picture. All others are left out: some hide compressed data of their own. */
const NEEDED = ['IHDR', 'PLTE', 'IDAT', 'IEND'];

/** Whether bytes start as a PNG does. */
export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.equals(bytes.subarray(0, SIGNATURE.length));
}

/**
 * Reads a PNG from anywhere: its size is checked before anything is unpacked, and what it unpacks to is bounded by the
 * size that it states. Throws `BoundaryError`: `picture.malformed`, `picture.too_large`.
 */
export function readPicture(bytes: Uint8Array): Picture {
  const chunks = readChunks(bytes);
  assertUnpacks(chunks);
  try {
    return toRgb(decode(Buffer.concat([SIGNATURE, ...chunks.map(({ whole }) => whole)]), { checkCrc: true }));
  } catch (cause) {
    throw malformed('cannot be read', cause);
  }
}

interface Chunk {
  type: string;
  body: Buffer;
  /** With length, type and checksum. */
  whole: Buffer;
}

/** PNG §5.3: length, type, data, checksum. */
function readChunks(bytes: Uint8Array): Chunk[] {
  if (bytes.length > PICTURE_MAX_BYTES) throw tooLarge();
  if (!isPng(bytes)) throw malformed('is not a PNG');
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE.length; at < buffer.length; ) {
    const length = at + 12 <= buffer.length ? buffer.readUInt32BE(at) : buffer.length;
    const end = at + 12 + length;
    if (end > buffer.length) throw malformed('ends too early');
    const type = buffer.toString('latin1', at + 4, at + 8);
    if (NEEDED.includes(type))
      chunks.push({ type, body: buffer.subarray(at + 8, end - 4), whole: buffer.subarray(at, end) });
    at = end;
    if (type === 'IEND') break;
  }
  return chunks;
}

/** A few kilobytes of PNG can claim, or unpack to, gigabytes. */
function assertUnpacks(chunks: readonly Chunk[]): void {
  const [header] = chunks;
  if (header?.type !== 'IHDR' || header.body.length !== 13 || chunks.at(-1)?.type !== 'IEND')
    throw malformed('is incomplete');
  const [width, height] = [header.body.readUInt32BE(0), header.body.readUInt32BE(4)];
  const [depth = 0, colour = 0] = header.body.subarray(8);
  const channels = CHANNELS[colour];
  const packed = depth < 8;
  const interlaced = header.body[12] !== 0;
  if (channels === undefined || ![1, 2, 4, 8, 16].includes(depth) || (packed && channels > 1))
    throw malformed('is of no kind that PNG knows');
  if (packed && interlaced) throw malformed('is interlaced with few colours; save it without interlacing');
  if (width * height === 0) throw malformed('is empty');
  if (width * height > MAX_PIXELS) throw tooLarge();
  // Interlaced pictures (§8.2) have up to seven partial rows for one: generously twice the rows, and bytes left over.
  const most = 2 * height * (Math.ceil((width * channels * depth) / 8) + 8) + 64;
  const data = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ body }) => body));
  try {
    inflateSync(data, { maxOutputLength: most });
  } catch (cause) {
    throw malformed('does not unpack to the size that it states', cause);
  }
}

/** Every kind of PNG as eight-bit colours on white paper. */
function toRgb(png: ReturnType<typeof decode>): Picture {
  const { width, height, channels, palette } = png;
  const sample = sampler(png);
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      const colour = palette?.[sample(x, y, 0, 'index')];
      const opaque = channels === 2 || channels === 4 ? sample(x, y, channels - 1) / 255 : 1;
      for (let i = 0; i < 3; i += 1) {
        const level = palette === undefined ? sample(x, y, channels < 3 ? 0 : i) : (colour?.[i] ?? 255);
        rgb[at + i] = level * opaque + 255 * (1 - opaque);
      }
    }
  }
  return { width, height, data: rgb };
}

type Sampler = (x: number, y: number, channel: number, as?: 'index') => number;

/** Reads one value of one pixel, scaled to 255 unless it is an index. Depths below eight are packed, rows padded (PNG §7.2). */
function sampler({ width, channels, depth, data }: ReturnType<typeof decode>): Sampler {
  if (depth >= 8) {
    const scale = depth === 16 ? 257 : 1;
    return (x, y, channel) => (data[(y * width + x) * channels + channel] ?? 0) / scale;
  }
  const stride = Math.ceil((width * depth) / 8);
  const top = 2 ** depth - 1;
  return (x, y, _channel, as) => {
    const byte = data[y * stride + ((x * depth) >> 3)] ?? 0;
    const value = (byte >> (8 - depth - ((x * depth) & 7))) & top;
    return as === 'index' ? value : (value * 255) / top;
  };
}

function tooLarge(): BoundaryError {
  return new BoundaryError(
    'picture.too_large',
    `The picture has more than ${MAX_PIXELS / 1_000_000} megapixels. Crop it to the QR codes.`,
  );
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError('picture.malformed', `The picture ${what}.`, { cause });
}
