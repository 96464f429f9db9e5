import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { check, create, type Files, filesIn, grow, storeHead, TRUST } from './fixture.ts';

/** One ledger at rest, everything in its main file, known to the head store; and a copy that each case damages. */
let intact: Files;
let copy: Files;
let file: Buffer;
let rows: string;

beforeAll(() => {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-damage-'));
  intact = { ledger: join(root, 'intact.sqlite'), head: join(root, 'head.sqlite') };
  copy = filesIn(mkdtempSync(join(root, 'copy-')));
  const ledger = create(intact);
  grow(ledger, 700, 20);
  storeHead(intact, ledger);
  ledger.close();
  file = readFileSync(intact.ledger);
  rows = readRows(intact.ledger) ?? expect.fail('the intact ledger cannot be read');
  return () => rmSync(root, { recursive: true, force: true });
});

/** Everything that the ledger's tables say; null when SQLite cannot read it. */
function readRows(path: string): string | null {
  const tables = ['entries', 'streams', 'tiles', 'checkpoints', 'sqlite_schema'];
  try {
    const database = openDatabase(path, { kind: LEDGER_KIND });
    try {
      return JSON.stringify(tables.map((table) => database.prepareTuple(`SELECT * FROM ${table}`).all()));
    } finally {
      database.close();
    }
  } catch {
    return null;
  }
}

async function verifyFlipped(at: number, bit: number): Promise<number> {
  const damaged = Buffer.from(file);
  damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
  writeFileSync(copy.ledger, damaged);
  const report = await verifyLedger({ ledgerPath: copy.ledger, headPath: intact.head, trust: TRUST });
  return report.code;
}

/** Where in the file the bytes of every row's evidence lie. SQLite spreads the long ones over pages. */
function regions(sql: string, piece: number): [from: number, to: number][] {
  const database = openDatabase(intact.ledger, { kind: LEDGER_KIND, readonly: true });
  const values = database.prepareColumn<Uint8Array | string>(sql).all();
  database.close();
  return values.flatMap((value) => {
    const bytes = Buffer.from(value as string);
    const found: [number, number][] = [];
    for (let at = 0; at < bytes.length; at += piece) {
      const part = bytes.subarray(at, at + piece);
      const start = file.indexOf(part);
      if (start >= 0 && file.indexOf(part, start + 1) < 0) found.push([start, start + part.length]);
    }
    return found;
  });
}

describe('a flipped bit', () => {
  test.each([
    ['an entry', 'SELECT bytes FROM entries', 300],
    ['a tile', 'SELECT hashes FROM tiles', 256],
    ['a checkpoint', 'SELECT note FROM checkpoints', 300],
  ])('in %s is found', async (_, sql, piece) => {
    const places = regions(sql, piece);
    expect(places.length).toBeGreaterThan(10);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.nat(),
        fc.nat({ max: 7 }),
        async ([from, to], offset, bit) => {
          expect([10, 13, 14]).toContain(await verifyFlipped(from + (offset % (to - from)), bit));
        },
      ),
      { numRuns: 40 },
    );
  });

  test('in the pages of the projection is found, or has changed nothing that is recorded', async () => {
    const database = openDatabase(intact.ledger, { kind: LEDGER_KIND, readonly: true });
    const pages = database
      .prepareColumn<number>("SELECT pageno FROM dbstat WHERE name = 'streams' AND pagetype = 'leaf'")
      .all();
    database.close();
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...pages),
        fc.nat({ max: 4_095 }),
        fc.nat({ max: 7 }),
        async (page, at, bit) => {
          const code = await verifyFlipped((page - 1) * 4_096 + at, bit);
          if (code === 0) expect(readRows(copy.ledger)).toBe(rows);
          else found++;
          expect([0, 10, 13, 14]).toContain(code);
        },
      ),
      { numRuns: 80 },
    );
    expect(found).toBeGreaterThan(20);
  });

  test('anywhere is found, or has changed nothing that is recorded', async () => {
    let found = 0;
    const place = fc.nat({ max: file.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.nat({ max: 7 }), async (at, bit) => {
        const code = await verifyFlipped(at, bit).catch((error: { code?: string }) => error.code);
        if (code === 0) expect(readRows(copy.ledger)).toBe(rows);
        else found++;
        expect([0, 10, 13, 14, 'database.newer']).toContain(code);
      }),
      { numRuns: 200 },
    );
    expect(found).toBeGreaterThan(100);
  });

  test('in any byte of the header or the structure of a page is found, or has changed nothing', async () => {
    const heads = Array.from({ length: file.length / 4096 }, (_, page) => page * 4096);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...heads),
        fc.nat({ max: 140 }),
        fc.nat({ max: 7 }),
        async (page, at, bit) => {
          const code = await verifyFlipped(page + at, bit).catch((error: { code?: string }) => error.code);
          if (code === 0) expect(readRows(copy.ledger)).toBe(rows);
          expect([0, 10, 13, 14, 'database.newer']).toContain(code);
        },
      ),
      { numRuns: 150 },
    );
  });
});

test('the ledger that was damaged here is well itself', () => {
  expect(check(intact).entries).toHaveLength(700);
});
