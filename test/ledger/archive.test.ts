import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../../daemon/formats/digest.ts';
import { decodeEntry, encodeEntry, entryHash } from '../../daemon/formats/entry.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import { type VerifyOptions, verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import { archive, carry, commitStreams, recordPruned, writeArchive } from './archive-world.ts';
import { create, type Files, filesIn, open, storeHead, TRUST } from './fixture.ts';

let files: Files;

beforeEach(() => {
  files = filesIn(temporaryDir());
});

/** Everything that can be read of a ledger: entries, streams, proofs. */
function everything(
  ledger: Pick<LedgerWriter, 'size' | 'entry' | 'entries' | 'stream' | 'inclusionProof' | 'consistencyProof'>,
  size: number,
) {
  const hex = (parts: readonly Uint8Array[]) => parts.map(toHex).join();
  const streams = ['system', 'dec_a', 'dec_b', 'dec_c', 'dec_d'];
  return {
    entries: Array.from({ length: size }, (_, index) => toHex(ledger.entry(index) ?? new Uint8Array())),
    pages: ledger.entries(0, size).map(({ index, bytes }) => `${index} ${toHex(bytes)}`),
    streams: streams.map((stream) =>
      ledger
        .stream(stream)
        .filter(({ index }) => index < size)
        .map(({ index, bytes }) => `${index} ${toHex(bytes)}`),
    ),
    inclusion: Array.from({ length: size }, (_, index) => hex(ledger.inclusionProof(index, size))),
    consistency: Array.from({ length: size }, (_, from) => hex(ledger.consistencyProof(from, size))),
  };
}

describe('an archived segment', () => {
  test('leaves everything readable, and every proof as it was', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('system', 'dec_a', 'dec_b', 'dec_c', 'dec_d'), {
          minLength: 800,
          maxLength: 900,
        }),
        fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }),
        (streams, tiles) => {
          const own = filesIn(temporaryDir());
          const ledger = create(own);
          for (let at = 0; at < streams.length; at += 50) commitStreams(ledger, streams.slice(at, at + 50));
          const size = ledger.size;
          const before = everything(ledger, size);
          for (const n of tiles) archive(ledger, n * 256, (n + 1) * 256);
          expect(everything(ledger, size)).toEqual(before);
          storeHead(own, ledger);
          ledger.close();
          const again = open(own);
          expect(everything(again, size)).toEqual(before);
          commitStreams(again, ['dec_a', 'dec_new', 'system']);
          again.close();
          const view = viewLedger(own.ledger, TRUST);
          expect(everything(view, size)).toEqual(before);
          view.close();
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
  });

  test('verifies when the first entries of the log are among them', async () => {
    const ledger = create(files);
    commitStreams(
      ledger,
      Array.from({ length: 300 }, (_, at) => `dec_${at}`),
    );
    archive(ledger, 0, 256);
    storeHead(files, ledger);
    ledger.close();
    const report = await verifyLedger({ ledgerPath: files.ledger, headPath: files.head, trust: TRUST });
    expect(report.findings).toEqual([]);
  });

  test('is said to be elsewhere once its file was carried off', () => {
    const ledger = create(files);
    commitStreams(
      ledger,
      Array.from({ length: 600 }, (_, at) => `dec_${at}`),
    );
    archive(ledger, 0, 256);
    carry(ledger, 0);
    rmSync(join(ledger.archive.directory, '000000000000-000000000256.entries.zst'));
    const anew = viewLedger(files.ledger, TRUST);
    expect(() => anew.entry(3)).toThrow(/carried off \(cabinet 3\)/);
    expect(() => anew.entries(200, 100)).toThrow(/Entries 0 to 255 are in the archive file/);
    expect(anew.entries(256, 10)).toHaveLength(10);
    anew.close();
    ledger.close();
  });
});

describe('verification of an archived segment', () => {
  const FILE = '000000000000-000000000256.entries.zst';
  const SECOND = '000000000512-000000000768.entries.zst';

  /** A ledger of 1,000 entries at rest, two of its segments archived. */
  function atRest(carried = false): void {
    const ledger = create(files);
    const names = ['system', 'dec_a', 'dec_b', 'dec_c'];
    for (let at = 0; at < 1_000; at += 50) {
      commitStreams(
        ledger,
        Array.from({ length: 50 }, (_, i) =>
          (at + i) % 9 < 4 ? (names[(at + i) % 4] ?? '') : `dec_${at + i}`,
        ),
      );
    }
    archive(ledger, 0, 256);
    archive(ledger, 512, 768);
    if (carried) carry(ledger, 0);
    storeHead(files, ledger);
    ledger.close();
  }

  const at = (name: string): string => join(dirname(files.ledger), 'archive', name);
  const verify = (more: Partial<VerifyOptions> = {}) =>
    verifyLedger({ ledgerPath: files.ledger, headPath: files.head, trust: TRUST, ...more });

  test.each([1, 2])('finds nothing wrong while its file is here (%s threads)', async (threads) => {
    atRest();
    const report = await verify({ threads });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ code: 0, archive: { segments: 2, elsewhere: [] } });
  });

  test('says what is elsewhere, and checks it where it is', async () => {
    atRest(true);
    const elsewhere = temporaryDir();
    renameSync(at(FILE), join(elsewhere, FILE));
    copyFileSync(at(SECOND), join(elsewhere, SECOND));
    const report = await verify();
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      code: 0,
      archive: { elsewhere: [{ first: 0, until: 256, to: 'cabinet 3' }] },
    });
    expect(await verify({ archiveDir: elsewhere })).toMatchObject({ code: 0, archive: { elsewhere: [] } });
  });

  const damage: [what: string, change: () => void, where: string][] = [
    ['a file that is gone without an entry', () => rmSync(at(SECOND)), SECOND],
    ['an edited file', () => flip(at(SECOND), 100), SECOND],
    ['a file that was swapped for another', () => copyFileSync(at(FILE), at(SECOND)), SECOND],
    ['an edited file of a carried segment', () => flip(at(FILE), 100), FILE],
  ];
  test.each(damage)('finds %s', async (_, change, where) => {
    atRest(true);
    void change();
    const report = await verify();
    expect(report.code).toBe(10);
    expect(report.findings.map(({ what, where: place }) => [what, place])).toEqual([['archive', where]]);
  });

  const rows: [what: string, sql: string, found: string][] = [
    ['entries removed without a record', 'DELETE FROM entries WHERE idx BETWEEN 300 AND 400', 'entries[300]'],
    [
      'an entry removed that should have stayed',
      'DELETE FROM entries WHERE idx = (SELECT min(idx) FROM entries)',
      'entries[0…255]',
    ],
    [
      'a tile of a carried segment changed',
      'UPDATE tiles SET hashes = zeroblob(8192) WHERE id = 0',
      'checkpoints[300]',
    ],
    ['a record of archiving removed', "DELETE FROM streams WHERE stream = 'retention'", 'entries[1]'],
  ];
  test.each(rows)('finds %s', async (_, sql, found) => {
    atRest(true);
    rmSync(at(FILE));
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
    const triggers = LEDGER_OBJECTS.filter((object) => object.type === 'trigger');
    for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`);
    database.exec(sql);
    for (const { sql: trigger } of triggers) database.exec(trigger);
    database.close();
    const report = await verify();
    expect(report.code).toBe(10);
    expect(report.findings.map(({ where }) => where)).toContain(found);
  });

  test('finds a record that somebody forged behind the last checkpoint', async () => {
    atRest();
    rmSync(at(SECOND));
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
    const triggers = LEDGER_OBJECTS.filter((object) => object.type === 'trigger');
    for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`);
    const head = database.prepare<{ seq: number; last_idx: number }>(
      "SELECT seq, last_idx FROM streams WHERE stream = 'retention'",
    );
    const { seq, last_idx: last } = head.get() ?? { seq: 0, last_idx: 0 };
    const before = database.prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx = ?').get(last);
    const forged = encodeEntry({
      ...decodeEntry(before ?? new Uint8Array()),
      seq: seq + 1,
      prev: entryHash(before ?? new Uint8Array()),
      data: { step: 'carried', first: 512, until: 768, to: 'nowhere' },
    });
    const size = database.prepareColumn<number>('SELECT max(idx) + 1 FROM entries').get() ?? 0;
    database.prepare('INSERT INTO entries VALUES (?, ?, ?)').run(size, last, forged);
    database
      .prepare("UPDATE streams SET seq = ?, last_idx = ? WHERE stream = 'retention'")
      .run(seq + 1, size);
    for (const { sql: trigger } of triggers) database.exec(trigger);
    database.close();
    const report = await verify();
    expect(report.code).toBe(10);
    expect(report.findings.map(({ what, where }) => [what, where])).toContainEqual(['archive', SECOND]);
  });

  test('accepts a removal that was cut off, and the next round ends it', async () => {
    atRest();
    const ledger = open(files);
    const { kept, ...file } = writeArchive(ledger, 256, 512);
    const data = { step: 'archived', first: 256, until: 512, kept: { ...kept }, file, root: '' };
    recordPruned(ledger, data);
    expect(ledger.clear(256, 60)).toBe(60);
    ledger.close();
    expect(await verify()).toMatchObject({ code: 0, archive: { segments: 3 } });
    const again = open(files);
    while (again.clear(256, 60) > 0);
    again.close();
    expect(await verify()).toMatchObject({ code: 0 });
  });

  test('nothing is removed that its file does not hold', () => {
    atRest();
    const ledger = open(files);
    const { kept, ...file } = writeArchive(ledger, 256, 512);
    recordPruned(ledger, { step: 'archived', first: 256, until: 512, kept: { ...kept }, file, root: '' });
    flip(at(file.name), 50);
    expect(() => ledger.clear(256, 60)).toThrow(/SHA-256 is not the one/);
    expect(ledger.entries(256, 256)).toHaveLength(256);
    ledger.close();
  });
});

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
