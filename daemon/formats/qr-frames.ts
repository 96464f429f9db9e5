import { BoundaryError } from './boundary-error.ts';
import { sha256 } from './digest.ts';

/*
 * Data too large for one QR code, as numbered lines of text (docs/decisions/0015-qr-codes-are-lines-of-text.md):
 *
 *     HF1.KIND.DIGEST.I.N.DATA
 *
 * DIGEST is the first 16 bytes of the SHA-256 of everything, I counts from 1 to N, DATA is the I-th piece; both binary
 * parts are base32 (RFC 4648 §6) without padding. Only capital letters, digits and dots occur, so codes are small
 * (alphanumeric mode), and scanners that type what they read cannot get a layout of keys wrong.
 */

/** What is carried: `R` a request for approval, `S` a signed act, `G` a sealed grant of break-glass, `A` an anchor, `C` a cosigned checkpoint, `E` an enrolment. */
export type FrameKind = (typeof KINDS)[number];

const KINDS = ['R', 'S', 'G', 'A', 'C', 'E'] as const;

const HEAD = 'HF1';
const DIGEST_BYTES = 16;
const MAX_FRAMES = 64;
/** A QR code of version 40 holds 4,296 characters in alphanumeric mode. */
const MAX_FRAME_CHARS = 4_296;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const FRAME = /^HF1\.([RSGACE])\.([A-Z2-7]{26})\.([1-9]\d?)\.([1-9]\d?)\.([A-Z2-7]+)$/;

/**
 * Splits bytes into frames of at most `maxChars` characters. Throws `BoundaryError` `qr.too_large` when more than 64
 * would be needed.
 */
export function splitFrames(kind: FrameKind, bytes: Uint8Array, maxChars: number): string[] {
  const head = `${HEAD}.${kind}.${digestOf(bytes)}`;
  const room = maxChars - head.length - '.64.64.'.length;
  if (room < 1 || maxChars > MAX_FRAME_CHARS)
    throw new RangeError('frames have room for data, up to a QR code’s');
  const text = toBase32(bytes);
  // Of even length, so that none of the codes is larger than it need be.
  const size = Math.max(1, Math.ceil(text.length / Math.ceil(text.length / room)));
  const pieces = text.match(new RegExp(`.{1,${size}}`, 'g')) ?? [];
  if (pieces.length > MAX_FRAMES) {
    throw new BoundaryError(
      'qr.too_large',
      `It would take ${pieces.length} QR codes; at most ${MAX_FRAMES} are made. Carry the file instead.`,
    );
  }
  return pieces.map((piece, index) => `${head}.${index + 1}.${pieces.length}.${piece}`);
}

/** Whether a text looks like a frame of ours, so that what else was read can be told apart. */
export function isFrame(text: string): boolean {
  return text.startsWith(`${HEAD}.`);
}

/**
 * Puts frames together, in any order, repeats allowed. Throws `BoundaryError`: `qr.malformed` (a line that is no frame),
 * `qr.mixed` (frames of different data), `qr.missing` (names those that are), `qr.damaged` (not what was split).
 */
export function joinFrames(lines: readonly string[]): { kind: FrameKind; bytes: Uint8Array } {
  const frames = lines.map(parseFrame);
  const [first] = frames;
  if (first === undefined) throw new BoundaryError('qr.missing', 'There is no QR code of ours in it.');
  const pieces = new Array<string | null>(first.of).fill(null);
  for (const frame of frames) {
    if (frame.kind !== first.kind || frame.digest !== first.digest || frame.of !== first.of) {
      throw new BoundaryError(
        'qr.mixed',
        'The QR codes belong to different things. Bring those of one together, and only those.',
      );
    }
    const known = pieces[frame.number - 1];
    if (known !== null && known !== frame.data) throw damaged();
    pieces[frame.number - 1] = frame.data;
  }
  return { kind: first.kind, bytes: assemble(pieces, first.digest) };
}

interface Frame {
  kind: FrameKind;
  digest: string;
  number: number;
  of: number;
  data: string;
}

function parseFrame(line: string): Frame {
  const match = line.length > MAX_FRAME_CHARS ? null : FRAME.exec(line);
  const [, kind, digest = '', number, of, data = ''] = match ?? [];
  const frame = { digest, number: Number(number), of: Number(of), data };
  const known = KINDS.find((one) => one === kind);
  if (known === undefined || frame.of > MAX_FRAMES || frame.number > frame.of) {
    throw new BoundaryError('qr.malformed', 'A QR code holds something other than a frame of ours.');
  }
  return { kind: known, ...frame };
}

function assemble(pieces: readonly (string | null)[], digest: string): Uint8Array {
  const missing = pieces.flatMap((piece, index) => (piece === null ? [index + 1] : []));
  if (missing.length > 0) {
    throw new BoundaryError(
      'qr.missing',
      `Of ${pieces.length} QR codes ${missing.length} ${missing.length === 1 ? 'is' : 'are'} missing: number ${missing.join(', ')}.`,
    );
  }
  const bytes = fromBase32(pieces.join(''));
  if (bytes === null || digestOf(bytes) !== digest) throw damaged();
  return bytes;
}

function damaged(): BoundaryError {
  return new BoundaryError('qr.damaged', 'The QR codes do not add up to what was made. Scan them again.');
}

function digestOf(bytes: Uint8Array): string {
  return toBase32(sha256(bytes).subarray(0, DIGEST_BYTES));
}

function toBase32(bytes: Uint8Array): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += ALPHABET[(buffer >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + ALPHABET[(buffer << (5 - bits)) & 31];
}

/** Null when bits are left over that no encoder would have written. */
function fromBase32(text: string): Uint8Array | null {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (const char of text) {
    buffer = ((buffer << 5) | ALPHABET.indexOf(char)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (buffer >> bits) & 255;
      at += 1;
    }
  }
  return bits < 5 && (buffer & ((1 << bits) - 1)) === 0 ? bytes : null;
}
