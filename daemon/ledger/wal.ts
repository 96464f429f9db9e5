import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { errorCode } from '../host/durable-file.ts';

/** SQLite file format §4 (WAL): 32-byte header, then frames of a 24-byte header and one page. */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;
const FORMAT_VERSION = 3_007_000;
/** What our databases use; needed to find frames when the header itself cannot be believed. */
const OUR_PAGE_SIZE = 4096;

export interface WalReport {
  /**
   * - `clean`: absent, empty, or ends after a commit.
   * - `torn`: the last transaction is incomplete or damaged and nothing was committed after it. A crash does that; so
   *   does damage to the last commit, which only a checkpoint stored elsewhere can tell apart.
   * - `damaged`: something committed lies behind a frame that SQLite will not pass; it would be dropped silently.
   */
  state: 'clean' | 'torn' | 'damaged';
  /** Frames up to and with the last commit that SQLite will see. */
  committedFrames: number;
  commits: number;
  /** Frames (whole or cut) of this generation after that commit, which SQLite will drop. */
  droppedFrames: number;
  /** In words; empty when clean. */
  detail: string;
}

/** Where WAL bytes come from. `read` returns fewer bytes at the end. */
export interface WalSource {
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
}

interface Sums {
  s0: number;
  s1: number;
}

interface WalHeader {
  bigEndian: boolean;
  pageSize: number;
  salts: bigint;
  sums: Sums;
}

interface Frame {
  page: number;
  /** Database size in pages after this frame's commit; 0 in frames that do not commit. */
  commitSize: number;
  salts: bigint;
  /** As stored. */
  sums: Sums;
  /** The bytes that the checksum covers: 8 of the header and the page. */
  covered: [Uint8Array, Uint8Array];
}

/** Looks at the write-ahead log beside a database, which must not be open: opening it drops what does not verify. */
export function inspectWal(databasePath: string): WalReport {
  let file: number;
  try {
    file = openSync(`${databasePath}-wal`, 'r');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return clean(0, 0);
  }
  try {
    return scanWal({
      size: fstatSync(file).size,
      read(offset, length) {
        const bytes = new Uint8Array(length);
        return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
      },
    });
  } finally {
    closeSync(file);
  }
}

/**
 * Follows the log as SQLite's recovery does, and then looks at what lies beyond the place where that would stop. Frames
 * of an earlier generation (other salts) are leftovers of a restarted log and mean nothing.
 */
export function scanWal(source: WalSource): WalReport {
  if (source.size === 0) return clean(0, 0);
  const header = parseHeader(source.read(0, HEADER_BYTES));
  if (header === null) return withoutHeader(source);
  let sums = header.sums;
  let index = 0;
  let committedFrames = 0;
  let commits = 0;
  for (; ; index++) {
    const frame = readFrame(source, header.pageSize, index);
    if (frame === null || frame.salts !== header.salts || frame.page === 0) break;
    const computed = frameSums(frame, sums, header.bigEndian);
    if (!same(computed, frame.sums)) break;
    sums = computed;
    if (frame.commitSize === 0) continue;
    committedFrames = index + 1;
    commits++;
  }
  const beyond = lookBeyond(source, header, index, sums);
  const droppedFrames = index - committedFrames + beyond.frames;
  if (beyond.commits > 1) return report('damaged', committedFrames, commits, droppedFrames, index);
  if (droppedFrames > 0) return report('torn', committedFrames, commits, droppedFrames, index);
  return clean(committedFrames, commits);
}

function clean(committedFrames: number, commits: number): WalReport {
  return { state: 'clean', committedFrames, commits, droppedFrames: 0, detail: '' };
}

function report(
  state: 'torn' | 'damaged',
  committedFrames: number,
  commits: number,
  droppedFrames: number,
  firstBad: number,
): WalReport {
  const detail =
    state === 'damaged'
      ? `frame ${firstBad} of the write-ahead log is damaged and committed frames follow it; SQLite would drop ${droppedFrames} frames`
      : `the write-ahead log ends in an unfinished or damaged transaction of ${droppedFrames} frames`;
  return { state, committedFrames, commits, droppedFrames, detail };
}

/**
 * Frames of the same generation from the first bad one on. Each frame's checksum continues the stored one of the frame
 * before it, so that a frame can be recognized although the chain up to it is broken.
 */
function lookBeyond(
  source: WalSource,
  header: WalHeader,
  first: number,
  sums: Sums,
): { frames: number; commits: number } {
  let seed = sums;
  let pending = 0;
  let frames = 0;
  let commits = 0;
  for (let index = first; ; index++) {
    const frame = readFrame(source, header.pageSize, index);
    if (frame === null) break;
    const continues = same(frameSums(frame, seed, header.bigEndian), frame.sums);
    // A wrong salt under a right checksum is damage to the salt.
    const ours = frame.salts === header.salts || (index === first && continues);
    if ((ours || index === first) && isCommit(frame, seed, header.bigEndian)) pending++;
    seed = frame.sums;
    if (!ours || !(continues || index === first)) continue;
    frames = index - first + 1;
    commits = pending;
  }
  const atEnd = HEADER_BYTES + (first + frames) * (FRAME_HEADER_BYTES + header.pageSize);
  return { frames: frames + (frames === 0 && isCutFrame(source, header, atEnd) ? 1 : 0), commits };
}

/** A bad frame that verifies as soon as it does not commit never did. */
function isCommit(frame: Frame, seed: Sums, bigEndian: boolean): boolean {
  if (frame.commitSize === 0) return false;
  const [header, page] = frame.covered;
  const plain = Uint8Array.from([...header.subarray(0, 4), 0, 0, 0, 0]);
  return !same(frameSums({ ...frame, covered: [plain, page] }, seed, bigEndian), frame.sums);
}

/** Whether a piece of a frame of this generation is all that follows. */
function isCutFrame(source: WalSource, header: WalHeader, offset: number): boolean {
  const rest = source.size - offset;
  if (rest <= 0 || rest >= FRAME_HEADER_BYTES + header.pageSize) return false;
  const piece = source.read(offset, FRAME_HEADER_BYTES);
  return piece.length < 16 || saltsAt(piece, 8) === header.salts;
}

/** A header that does not verify hides everything. Frames that follow each other show that there was something. */
function withoutHeader(source: WalSource): WalReport {
  for (const bigEndian of [false, true]) {
    let previous = readFrame(source, OUR_PAGE_SIZE, 0);
    for (let index = 1; previous !== null; index++) {
      const frame = readFrame(source, OUR_PAGE_SIZE, index);
      const seeds = index === 1 ? headerSeeds(source, bigEndian) : [];
      const starts =
        previous.page !== 0 &&
        seeds.some((seed) => same(frameSums(previous as Frame, seed, bigEndian), (previous as Frame).sums));
      const follows =
        frame !== null && frame.page !== 0 && same(frameSums(frame, previous.sums, bigEndian), frame.sums);
      if (starts || follows) {
        return {
          ...report('damaged', 0, 0, index, 0),
          detail:
            'the header of the write-ahead log is damaged and frames follow it; SQLite would drop all of them',
        };
      }
      previous = frame;
    }
  }
  return {
    ...report('torn', 0, 0, 1, 0),
    detail: 'the write-ahead log has no valid header and holds nothing',
  };
}

/** What the first frame's checksum may continue: the header's stored checksum, or what it should have been. */
function headerSeeds(source: WalSource, bigEndian: boolean): Sums[] {
  const header = source.read(0, HEADER_BYTES);
  if (header.length < HEADER_BYTES) return [];
  return [sumsAt(header, 24), checksum(header.subarray(0, 24), { s0: 0, s1: 0 }, bigEndian)];
}

function parseHeader(bytes: Uint8Array): WalHeader | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const magic = view.getUint32(0);
  const pageSize = view.getUint32(8);
  const bigEndian = magic === MAGIC_BIG_ENDIAN;
  if (!bigEndian && magic !== MAGIC_LITTLE_ENDIAN) return null;
  if (view.getUint32(4) !== FORMAT_VERSION || !isPageSize(pageSize)) return null;
  const sums = checksum(bytes.subarray(0, 24), { s0: 0, s1: 0 }, bigEndian);
  return same(sums, sumsAt(bytes, 24)) ? { bigEndian, pageSize, salts: saltsAt(bytes, 16), sums } : null;
}

function readFrame(source: WalSource, pageSize: number, index: number): Frame | null {
  const bytes = source.read(
    HEADER_BYTES + index * (FRAME_HEADER_BYTES + pageSize),
    FRAME_HEADER_BYTES + pageSize,
  );
  if (bytes.length < FRAME_HEADER_BYTES + pageSize) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    page: view.getUint32(0),
    commitSize: view.getUint32(4),
    salts: saltsAt(bytes, 8),
    sums: sumsAt(bytes, 16),
    covered: [bytes.subarray(0, 8), bytes.subarray(FRAME_HEADER_BYTES)],
  };
}

function frameSums(frame: Frame, seed: Sums, bigEndian: boolean): Sums {
  return checksum(frame.covered[1], checksum(frame.covered[0], seed, bigEndian), bigEndian);
}

/** SQLite file format §4.2: two running sums over pairs of 32-bit words. */
function checksum(bytes: Uint8Array, seed: Sums, bigEndian: boolean): Sums {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let { s0, s1 } = seed;
  for (let at = 0; at < bytes.length; at += 8) {
    s0 = (s0 + view.getUint32(at, !bigEndian) + s1) >>> 0;
    s1 = (s1 + view.getUint32(at + 4, !bigEndian) + s0) >>> 0;
  }
  return { s0, s1 };
}

function sumsAt(bytes: Uint8Array, at: number): Sums {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { s0: view.getUint32(at), s1: view.getUint32(at + 4) };
}

function saltsAt(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at);
}

function same(a: Sums, b: Sums): boolean {
  return a.s0 === b.s0 && a.s1 === b.s1;
}

function isPageSize(size: number): boolean {
  return size >= 512 && size <= 65_536 && (size & (size - 1)) === 0;
}
