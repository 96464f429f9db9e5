import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { encode } from 'fast-png';
import encodeQR from 'qr';
import { decodeQRBatch } from 'qr/decode.js';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type FrameKind, isFrame, joinFrames, splitFrames } from '../formats/qr-frames.ts';
import { type Picture, readPicture } from './picture.ts';

/** Modules of white around a code (ISO/IEC 18004 §5.3.8). */
const QUIET = 4;
/** Characters in a code of version 13 (level M): with its quiet zone 77 columns wide, it fits a terminal of 80. */
const TERMINAL_CHARS = 483;
/** The same for version 25: a signed act needs one code as a rule, and a phone still reads it off paper. */
const PAPER_CHARS = 1_451;
const PIXELS_PER_MODULE = 6;
/** Nothing that is carried by codes is larger. */
const MAX_CONTENT = 512 * 1024;
/** What looking for codes in one picture may take beyond a first look, in milliseconds. */
const PATIENCE_MS = 3_000;

/** Frames of compressed content (RFC 1951), each small enough for one code where it is to be shown. */
export function framesOf(kind: FrameKind, content: Uint8Array, where: 'terminal' | 'paper'): string[] {
  const chars = where === 'terminal' ? TERMINAL_CHARS : PAPER_CHARS;
  return splitFrames(kind, new Uint8Array(deflateRawSync(content, { level: 9 })), chars);
}

/** The content of frames. Throws `BoundaryError` `qr.*`: see `joinFrames`; `qr.damaged` also when it does not unpack. */
export function contentOf(frames: readonly string[]): { kind: FrameKind; content: Uint8Array } {
  const { kind, bytes } = joinFrames(frames);
  try {
    return { kind, content: new Uint8Array(inflateRawSync(bytes, { maxOutputLength: MAX_CONTENT })) };
  } catch (cause) {
    throw new BoundaryError('qr.damaged', 'What the QR codes hold cannot be unpacked.', { cause });
  }
}

/** A frame as a code in half-block characters, light on dark, for a terminal; no colours. */
export function codeAsText(frame: string): string {
  return encodeQR(frame, 'ascii', { ecc: 'medium', border: QUIET }).trimEnd();
}

/** A frame as a black and white PNG. */
export function codeAsPng(frame: string): Uint8Array {
  const modules = encodeQR(frame, 'raw', { ecc: 'medium', border: QUIET });
  const side = modules.length * PIXELS_PER_MODULE;
  const data = new Uint8Array(side * side).fill(255);
  modules.forEach((row, y) => {
    row.forEach((dark, x) => {
      if (!dark) return;
      for (let line = 0; line < PIXELS_PER_MODULE; line += 1) {
        const start = (y * PIXELS_PER_MODULE + line) * side + x * PIXELS_PER_MODULE;
        data.fill(0, start, start + PIXELS_PER_MODULE);
      }
    });
  });
  return encode({ width: side, height: side, data, channels: 1, depth: 8 });
}

/**
 * Every frame of ours that a PNG shows, be it one code, a sheet of them or a photograph. Throws `BoundaryError`:
 * `picture.*`, `qr.missing` when there is none.
 */
export async function framesInPng(bytes: Uint8Array): Promise<string[]> {
  const picture: Picture = readPicture(bytes);
  const options = { effort: Number.POSITIVE_INFINITY, timeLimit: PATIENCE_MS };
  const [found = []] = await decodeQRBatch([picture], options);
  const frames = found.filter((text) => typeof text === 'string').filter(isFrame);
  if (frames.length > 0) return frames;
  throw new BoundaryError(
    'qr.missing',
    'No QR code of ours was found in the picture. Take it again: whole, sharp and evenly lit.',
  );
}
