import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { PROJECTION_OBJECTS } from '../../daemon/engine/projection-tables.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { type DatabaseKind, openDatabase } from '../../daemon/ledger/database.ts';
import { HEAD_KIND, LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { alice, ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture, SITE } from '../engine/fixture.ts';
import { SEED } from './random.ts';

/*
 * Whatever byte of a copy is changed: either the verifier finds it, or nobody who reads the ledger gets to see it. Known
 * bytes of evidence and of every table that is derived from it must be found.
 */

interface Files {
  ledger: string;
  head: string;
}

const TABLES: Record<keyof Files, { kind: DatabaseKind; reads: string[] }> = {
  ledger: {
    kind: LEDGER_KIND,
    reads: [
      'SELECT * FROM entries ORDER BY idx',
      'SELECT * FROM tiles ORDER BY id',
      'SELECT * FROM checkpoints ORDER BY size',
      'SELECT * FROM streams ORDER BY stream',
      'SELECT * FROM decisions ORDER BY id',
      'SELECT * FROM idempotency ORDER BY key',
      'SELECT * FROM nonces ORDER BY nonce',
      // As the engine reads them: by their indexes.
      `SELECT expires_at, id FROM decisions WHERE status IN ('evaluated', 'pending_authority') ORDER BY expires_at, id`,
      `SELECT status, id FROM decisions WHERE status IN ('evaluated', 'pending_authority') ORDER BY status, id`,
      `SELECT permit, id FROM decisions WHERE permit IN ('redeemed', 'unknown') ORDER BY permit, id`,
      'SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name',
    ],
  },
  // The time floor is not evidence: nothing in the ledger says what it must be.
  head: { kind: HEAD_KIND, reads: ['SELECT origin, size, root, note FROM head ORDER BY origin'] },
};

let dir: string;
let copy: Files;
let trust: { origin: string; vkeys: string[] };
/** Orderly closed: everything in the main files. */
let closed: Files;
/** Left open: the newest batches in the log only. */
let open: Files;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-flip-'));
  const filesIn = (name: string) => ({
    ledger: join(dir, `${name}.ledger`),
    head: join(dir, `${name}.head`),
  });
  [closed, open, copy] = [filesIn('closed'), filesIn('open'), filesIn('copy')];
  const site = new EngineFixture(testBundle());
  trust = { origin: `${SITE}/ledger`, vkeys: [site.vkey] };
  for (let n = 0; n < 165; n++) decide(site, n);
  site.engine.stop('test');
  lay(site.paths, closed);
  site.engine = site.open();
  for (let n = 165; n < 200; n++) decide(site, n);
  site.engine.syncHead();
  lay(site.paths, open);
  site.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Decisions of every kind, with rows in every table and index. */
function decide(site: EngineFixture, n: number): void {
  const create = (json: never) =>
    site.call('decisions.create', { json, key: n % 3 === 0 ? `key-${n}` : null }).body;
  if (n % 5 === 0) {
    const waiting = create(ask('restart_service', `service:s-${n}`));
    const json = site.sign(alice, waiting);
    if (n % 10 === 0) site.call('decisions.approve', { args: { id: String(waiting.decision_id) }, json });
    return;
  }
  const { permit } = create(
    ask(n % 7 === 0 ? 'wipe_storage' : 'read_telemetry', n % 7 === 0 ? `disk:d-${n}` : `sensor:t-${n}`),
  );
  if (permit === undefined || n % 2 === 0) return;
  const { id, action_digest } = permit as JsonObject & { id: string; action_digest: string };
  site.call('permits.redeem', { args: { id }, json: { audience: 'gateway', action_digest } });
  if (n % 4 === 1) return;
  site.call('permits.outcome', {
    args: { id },
    json: { audience: 'gateway', result: 'unknown', detail: {} },
  });
}

function lay(from: Files, to: Files): void {
  for (const name of ['ledger', 'head'] as const) {
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(to[name] + suffix, { force: true });
      if (suffix !== '-shm' && existsSync(from[name] + suffix))
        copyFileSync(from[name] + suffix, to[name] + suffix);
    }
  }
}

/** The verifier's code for a copy of files in which one byte was changed. What cannot be opened at all is found, too. */
async function codeOf(files: Files, name: keyof Files, suffix: string, at: number, mask: number) {
  lay(files, copy);
  const bytes = readFileSync(copy[name] + suffix);
  bytes[at] = (bytes[at] ?? 0) ^ mask;
  writeFileSync(copy[name] + suffix, bytes);
  const options = { ledgerPath: copy.ledger, headPath: copy.head, trust, projectionChecks: checkProjections };
  try {
    return (await verifyLedger(options)).code;
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'database.newer') return error.code;
    throw error;
  }
}

/** Everything that is read from a file, as text. */
function contents(path: string, name: keyof Files): string {
  const { kind, reads } = TABLES[name];
  const database = openDatabase(path, { kind, readonly: true });
  try {
    return JSON.stringify(
      reads.map((sql) =>
        database
          .prepareTuple<unknown[]>(sql)
          .all()
          .map((row) => row.map(asText)),
      ),
    );
  } finally {
    database.close();
  }
}

/** Size of the tree in what is read from a second copy. */
function sizeIn(text: string): number {
  const [[row = []] = []] = JSON.parse(text) as unknown[][][];
  return Number(row[1]);
}

function asText(value: unknown): unknown {
  return value instanceof Uint8Array ? `x${Buffer.from(value).toString('hex')}` : value;
}

const FOUND = [10, 13, 14, 'database.newer'];

/** Found, or of no consequence: then it is counted. */
async function expectFoundOrUnseen(
  files: Files,
  name: keyof Files,
  suffix: string,
  at: number,
  mask: number,
): Promise<boolean> {
  const code = await codeOf(files, name, suffix, at, mask);
  if (code !== 0) {
    expect(FOUND).toContain(code);
    return true;
  }
  lay(files, copy);
  const before = contents(copy[name], name);
  lay(files, copy);
  const bytes = readFileSync(copy[name] + suffix);
  bytes[at] = (bytes[at] ?? 0) ^ mask;
  writeFileSync(copy[name] + suffix, bytes);
  const seen = contents(copy[name], name);
  // The last write to the second copy may have been torn by a crash: then an earlier one counts, as it did before.
  if (name === 'head' && suffix === '-wal') expect(sizeIn(seen)).toBeLessThanOrEqual(sizeIn(before));
  else expect(seen).toBe(before);
  return false;
}

const mask = fc.oneof(fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128), fc.integer({ min: 1, max: 255 }));
const property = { seed: SEED, numRuns: 40 };

describe(`one changed byte (seed ${SEED})`, () => {
  it('is nothing that the untouched files have', async () => {
    for (const files of [closed, open]) {
      const options = {
        ledgerPath: files.ledger,
        headPath: files.head,
        trust,
        projectionChecks: checkProjections,
      };
      expect(await verifyLedger(options)).toMatchObject({ code: 0, findings: [] });
    }
    expect(existsSync(`${open.ledger}-wal`)).toBe(true);
  });

  const blobs = {
    'an entry': 'SELECT bytes FROM entries',
    'a tile': 'SELECT hashes FROM tiles',
    'a checkpoint': 'SELECT note FROM checkpoints',
  };
  it.each(Object.entries(blobs))('in %s is found', async (_, sql) => {
    const places = placesOf(closed.ledger, sql);
    expect(places.length).toBeGreaterThan(sql.includes('tiles') ? 0 : 100);
    const place = fc.constantFrom(...places).chain(([from, to]) => fc.integer({ min: from, max: to - 1 }));
    await fc.assert(
      fc.asyncProperty(place, mask, async (at, bits) => {
        expect([10, 13]).toContain(await codeOf(closed, 'ledger', '', at, bits));
      }),
      { ...property, numRuns: 20 },
    );
  });

  const derived = PROJECTION_OBJECTS.map(({ name }) => name).filter((name) => name !== 'sealed');
  it.each(['streams', ...derived])('in a page of %s is found, or nobody sees it', async (name) => {
    // Most of what lies in a page that is not full is zeros, which nobody reads.
    const file = readFileSync(closed.ledger);
    const places = pagesOf(closed.ledger, name).flatMap((page) =>
      Array.from({ length: 4096 }, (_, at) => (page - 1) * 4096 + at).filter((at) => file[at] !== 0),
    );
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), mask, async (at, bits) => {
        if (await expectFoundOrUnseen(closed, 'ledger', '', at, bits)) found++;
      }),
      { ...property, numRuns: 20 },
    );
    expect(found).toBeGreaterThan(2);
  });

  it.each([
    ['the ledger', 'ledger', ''],
    ['the log of the ledger', 'ledger', '-wal'],
    ['the second copy', 'head', ''],
    ['the log of the second copy', 'head', '-wal'],
  ] as const)('anywhere in %s is found, or nobody sees it', async (_, name, suffix) => {
    const { length } = readFileSync(open[name] + suffix);
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: length - 1 }), mask, async (at, bits) => {
        if (await expectFoundOrUnseen(open, name, suffix, at, bits)) found++;
      }),
      property,
    );
    expect(found).toBeGreaterThan(name === 'ledger' ? 3 : 0);
  });
});

/** Where values stand in the file; only those that stand there once, for the others may be leftovers. */
function placesOf(path: string, sql: string): [from: number, to: number][] {
  const file = readFileSync(path);
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  const values = database
    .prepareColumn<Uint8Array | string>(sql)
    .all()
    .map((value) => Buffer.from(value as string));
  database.close();
  return values.flatMap((value): [number, number][] => {
    // A value that overflows its page stands in pieces; its first kilobyte is in one.
    const head = value.subarray(0, 400);
    const at = file.indexOf(head);
    return at >= 0 && file.indexOf(head, at + 1) < 0 ? [[at, at + head.length]] : [];
  });
}

function pagesOf(path: string, name: string): number[] {
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  const pages = database.prepareColumn<number>('SELECT pageno FROM dbstat WHERE name = ?').all(name);
  database.close();
  return pages;
}
