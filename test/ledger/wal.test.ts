import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { inspectWal, scanWal } from '../../daemon/ledger/wal.ts';
import { temporaryDir } from '../host/temporary.ts';
import {
  check,
  commitBatch,
  copyFiles,
  create,
  type Files,
  filesIn,
  grow,
  open,
  storeHead,
  streamNames,
  TRUST,
} from './fixture.ts';

const FRAME = 24 + 4096;

interface Image {
  files: Files;
  wal: Buffer;
  /** Frames (0-based) that commit, and the ledger's size after each. */
  commits: { frame: number; size: number }[];
}

/** Crash images of a ledger with 12 batches in its log; the head store stands after batch `stored`, or at the end. */
function image(stored: number | null): Image {
  const live = filesIn(directory());
  const ledger = create(live);
  grow(ledger, 40, 20);
  ledger.database.pragma('wal_checkpoint(TRUNCATE)');
  const sizes: number[] = [];
  for (let batch = 0; batch < 12; batch++) {
    commitBatch(ledger, streamNames(ledger.size, 3 + batch));
    sizes.push(ledger.size);
    if (batch === stored) storeHead(live, ledger);
  }
  if (stored === null) storeHead(live, ledger);
  const files = filesIn(directory());
  copyFiles(live, files);
  ledger.close();
  const wal = readFileSync(`${files.ledger}-wal`);
  const commits = Array.from({ length: (wal.length - 32) / FRAME }, (_, frame) => frame)
    .filter((frame) => wal.readUInt32BE(32 + frame * FRAME + 4) !== 0)
    .map((frame, batch) => ({ frame, size: sizes[batch] ?? expect.fail('more commits than batches') }));
  expect(commits).toHaveLength(12);
  return { files, wal, commits };
}

let made = 0;
let root: string;

function directory(): string {
  const path = join(root, String(made++));
  mkdirSync(path);
  return path;
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-wal-'));
  return () => rmSync(root, { recursive: true, force: true });
});

function sizeAt(commits: Image['commits'], frames: number): number {
  return commits.findLast(({ frame }) => frame < frames)?.size ?? 40;
}

async function verifyCopy(
  source: Image,
  change: (files: Files) => void,
): Promise<{ code: number; files: Files }> {
  const files = filesIn(directory());
  copyFiles(source.files, files);
  change(files);
  const report = await verifyLedger({ ledgerPath: files.ledger, headPath: files.head, trust: TRUST });
  return { code: report.code, files };
}

test('a log is absent, or clean', async () => {
  const files = filesIn(temporaryDir());
  expect(inspectWal(files.ledger).state).toBe('clean');
  const { files: intact, commits } = image(null);
  expect(inspectWal(intact.ledger)).toMatchObject({ state: 'clean', commits: 12, droppedFrames: 0 });
  expect(inspectWal(intact.ledger).committedFrames).toBe((commits.at(-1)?.frame ?? 0) + 1);
});

describe('a log cut short', () => {
  test('is a torn tail above the stored checkpoint and a rollback below it', async () => {
    const source = image(5);
    const stored = source.commits[5]?.size ?? 0;
    const frames = (source.wal.length - 32) / FRAME;
    for (let frame = 0; frame <= frames; frame += frame % 5 === 0 ? 1 : 4) {
      for (const into of [0, 9]) {
        const length = 32 + frame * FRAME + into;
        if (length > source.wal.length) continue;
        const { code, files } = await verifyCopy(source, ({ ledger }) =>
          truncateSync(`${ledger}-wal`, length),
        );
        const whole =
          into === 0 && (frame === 0 || source.commits.some((commit) => commit.frame === frame - 1));
        const size = sizeAt(source.commits, frame);
        expect({ frame, into, code }).toEqual({ frame, into, code: size < stored ? 14 : whole ? 0 : 11 });
        if (size < stored) {
          expect(() => open(files)).toThrow(/ends at/);
        } else {
          const ledger = open(files);
          expect(ledger.size).toBe(size);
          expect(ledger.recovered === null).toBe(whole);
          grow(ledger, 5, 5);
          ledger.close();
          expect(check(files).entries).toHaveLength(size + 5);
        }
      }
    }
  });
});

describe('a log with a flipped bit', () => {
  const flipped = (source: Image, at: number, bit: number) => (files: Files) => {
    const wal = Buffer.from(source.wal);
    wal[at] = (wal[at] ?? 0) ^ (1 << bit);
    writeFileSync(`${files.ledger}-wal`, wal);
  };

  test('is never explained away when a stored checkpoint covers it', async () => {
    const source = image(null);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: source.wal.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const { code, files } = await verifyCopy(source, flipped(source, at, bit));
        expect([10, 14]).toContain(code);
        expect(() => open(files)).toThrow();
      }),
      { numRuns: 50 },
    );
  });

  test('is damage, not a torn tail, when commits follow it', async () => {
    const source = image(0);
    const end = 32 + ((source.commits[10]?.frame ?? 0) + 1) * FRAME;
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: end - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const { code } = await verifyCopy(source, flipped(source, at, bit));
        expect([10, 14]).toContain(code);
      }),
      { numRuns: 50 },
    );
  });

  test('in the last commit, which nothing covers, is a torn tail', async () => {
    const source = image(10);
    const start = 32 + ((source.commits[10]?.frame ?? 0) + 1) * FRAME;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: start, max: source.wal.length - 1 }), async (at) => {
        const { code, files } = await verifyCopy(source, flipped(source, at, 3));
        expect(code).toBe(11);
        const ledger = open(files);
        expect(ledger.size).toBe(source.commits[10]?.size);
        expect(ledger.recovered?.droppedFrames).toBeGreaterThan(0);
        ledger.close();
      }),
      { numRuns: 25 },
    );
  });

  test('in its header hides nothing', async () => {
    const source = image(null);
    for (let at = 0; at < 32; at++) {
      const { files } = await verifyCopy(source, flipped(source, at, at % 8));
      expect({ at, state: inspectWal(files.ledger).state }).toEqual({ at, state: 'damaged' });
    }
  });
});

describe('a log that was removed or exchanged', () => {
  test('without the log the history is short', async () => {
    const source = image(null);
    expect((await verifyCopy(source, ({ ledger }) => writeFileSync(`${ledger}-wal`, ''))).code).toBe(14);
  });

  test('leftovers of an earlier generation mean nothing', async () => {
    const source = image(null);
    const older = Buffer.from(source.wal);
    const start = 32 + 10 * FRAME;
    for (let at = start; at < older.length; at += FRAME) older.writeUInt32BE(0x01020304, at + 8);
    const report = scanWal({ size: older.length, read: (at, length) => older.subarray(at, at + length) });
    expect(report.committedFrames).toBeLessThanOrEqual(10);
    expect(report.state).toBe(source.commits.some(({ frame }) => frame === 9) ? 'clean' : 'torn');
  });
});

test('any bytes are judged without failing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20_000 }), (bytes) => {
      const report = scanWal({ size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) });
      expect(report.commits).toBe(0);
      expect(report.state === 'clean').toBe(bytes.length === 0);
    }),
  );
});
