import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { entryHash } from '../../daemon/formats/entry.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { tampered } from '../../daemon/ledger/finding.ts';
import { HEAD_KIND, LEDGER_KIND, TILE_LEVEL_STEP } from '../../daemon/ledger/schema.ts';
import { type VerifyOptions, type VerifyReport, verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import {
  attack,
  check,
  commitBatch,
  copyFiles,
  create,
  type Files,
  filesIn,
  grow,
  nextEntry,
  ORIGIN,
  signerOf,
  storeHead,
  TRUST,
} from './fixture.ts';

let files: Files;

function verify(more: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
  return verifyLedger({ ledgerPath: files.ledger, headPath: files.head, trust: TRUST, ...more });
}

/** A ledger of 600 entries, at rest, known to the head store. */
function atRest(entries = 600, batch = 50): void {
  const ledger = create(files);
  grow(ledger, entries, batch);
  storeHead(files, ledger);
  ledger.close();
}

function append(ledger: LedgerWriter, stream: string, bytes: Uint8Array): void {
  ledger.begin();
  ledger.append(stream, bytes);
  ledger.seal();
  ledger.commit();
}

beforeEach(() => {
  files = filesIn(temporaryDir());
});

describe('an intact ledger', () => {
  test('verifies, with its newest checkpoint', async () => {
    atRest();
    const report = await verify();
    expect(report).toMatchObject({
      code: 0,
      entries: 600,
      findings: [],
      total: 0,
      checkpoint: { size: 600 },
    });
    check(files);
  });

  test.each([1, 255, 256, 257, 512])('of %i entries', async (entries) => {
    atRest(entries, 100);
    expect(await verify()).toMatchObject({ code: 0, entries });
  });

  test('without entries', async () => {
    create(files).close();
    expect(await verify()).toMatchObject({ code: 0, entries: 0, checkpoint: null });
  });

  test('gives the same report on several threads', async () => {
    atRest(40_000, 2_000);
    const progress: number[] = [];
    const report = await verify({ threads: 3, onProgress: (done) => progress.push(done) });
    expect(report).toEqual(await verify({ threads: 1 }));
    expect(report.code).toBe(0);
    expect(progress).toEqual([16_384, 32_768, 40_000]);
  });

  test('while its daemon writes, in place', async () => {
    const ledger = create(files);
    grow(ledger, 300, 30);
    storeHead(files, ledger);
    ledger.begin();
    ledger.append('dec_x', nextEntry(ledger, 'dec_x', 'not yet'));
    expect(await verify({ inPlace: true })).toMatchObject({ code: 0, entries: 300 });
    ledger.rollback();
    grow(ledger, 10, 10);
    expect(await verify({ inPlace: true })).toMatchObject({ code: 0, entries: 310 });
    ledger.close();
  });

  test('leaves copied files as they are', async () => {
    const ledger = create(files);
    grow(ledger, 300, 30);
    storeHead(files, ledger);
    const copy = filesIn(temporaryDir());
    copyFiles(files, copy);
    ledger.close();
    const before = contents(dirname(copy.ledger));
    const report = await verifyLedger({ ledgerPath: copy.ledger, headPath: copy.head, trust: TRUST });
    expect(report).toMatchObject({ code: 0, entries: 300 });
    expect(contents(dirname(copy.ledger))).toEqual(before);
  });

  test('is read as far as a projection check wants', async () => {
    atRest();
    const finding = tampered('projection', 'decisions[dec_1]', 'wrong');
    const report = await verify({
      projectionChecks: (database) =>
        database.prepareColumn('SELECT count(*) FROM entries').get() === 600 ? [finding] : [],
    });
    expect(report).toMatchObject({ code: 10, findings: [finding] });
  });
});

function contents(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, entryHash(readFileSync(`${directory}/${name}`))]),
  );
}

describe('changed rows are tampering', () => {
  const CHANGES: [string, string][] = [
    [
      'an entry',
      "UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'ops-1', 'ops-2') AS BLOB) WHERE idx = 300",
    ],
    [
      'the last entry',
      "UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'ops-1', 'ops-2') AS BLOB) WHERE idx = 599",
    ],
    ['an entry that is not UTF-8', "UPDATE entries SET bytes = x'ff' WHERE idx = 300"],
    ['a removed entry', 'DELETE FROM entries WHERE idx = 300'],
    ['a removed first entry', 'DELETE FROM entries WHERE idx = 0'],
    ['an entry before the first', "INSERT INTO entries (idx, bytes) VALUES (-1, x'00')"],
    ['an entry far behind the last', "INSERT INTO entries (idx, bytes) VALUES (9007199254740990, x'00')"],
    [
      'two entries exchanged',
      'UPDATE entries SET idx = -1 WHERE idx = 5; UPDATE entries SET idx = 5 WHERE idx = 7; UPDATE entries SET idx = 7 WHERE idx = -1',
    ],
    [
      'a link',
      'UPDATE entries SET prev_idx = prev_idx - 1 WHERE idx = (SELECT max(idx) FROM entries WHERE prev_idx > 0)',
    ],
    [
      'a link forwards',
      'UPDATE entries SET prev_idx = idx + 1 WHERE idx = (SELECT max(idx) FROM entries WHERE prev_idx > 0)',
    ],
    [
      'a link removed',
      'UPDATE entries SET prev_idx = NULL WHERE idx = (SELECT max(idx) FROM entries WHERE prev_idx > 0)',
    ],
    ['a link added', 'UPDATE entries SET prev_idx = 0 WHERE idx = 1'],
    ['a tile', 'UPDATE tiles SET hashes = zeroblob(8192) WHERE id = 1'],
    ['a removed tile', 'DELETE FROM tiles WHERE id = 1'],
    ['a tile too many', 'INSERT INTO tiles (id, hashes) VALUES (2, zeroblob(8192))'],
    ['a signature', "UPDATE checkpoints SET note = replace(note, 'A', 'B') WHERE size = 300"],
    ['a checkpoint of another size', 'UPDATE checkpoints SET size = 301 WHERE size = 300'],
    [
      'a checkpoint exchanged',
      'UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 350) WHERE size = 300',
    ],
    [
      'a stream’s number',
      'UPDATE streams SET seq = seq + 1 WHERE rowid IN (SELECT 1)'.replace(
        ' WHERE rowid IN (SELECT 1)',
        " WHERE stream = 'dec_3'",
      ),
    ],
    ['a stream’s end', "UPDATE streams SET last_idx = last_idx + 1 WHERE stream = 'dec_3'"],
    ['a stream’s name', "UPDATE streams SET stream = 'dec_3x' WHERE stream = 'dec_3'"],
    ['a removed stream', "DELETE FROM streams WHERE stream = 'dec_3'"],
    ['a stream too many', "INSERT INTO streams (stream, seq, last_idx) VALUES ('dec_new', 0, 3)"],
    ['a stream at nothing', "UPDATE streams SET last_idx = -5 WHERE stream = 'dec_3'"],
  ];

  test.each(CHANGES)('%s', async (_, sql) => {
    atRest();
    attack(files, (database) => database.exec(sql));
    const report = await verify();
    expect(report.code).toBe(10);
    expect(report.findings.length).toBeGreaterThan(0);
    expect(() => check(files)).toThrow();
  });

  test('a trigger that was left away', async () => {
    atRest();
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
    database.exec('DROP TRIGGER entries_delete');
    database.close();
    expect(await verify()).toMatchObject({ code: 10, findings: [{ what: 'schema' }] });
  });

  test('a tile of the second level', async () => {
    atRest(65_536 + 10, 4_096);
    attack(files, (database) =>
      database.exec(`UPDATE tiles SET hashes = zeroblob(8192) WHERE id = ${TILE_LEVEL_STEP}`),
    );
    const report = await verify({ threads: 2 });
    expect(report).toMatchObject({ code: 10, findings: [{ what: 'tree', where: 'tile/1/0' }], total: 1 });
  });

  test('a thousand findings are counted and the first are kept', async () => {
    atRest();
    attack(files, (database) => database.exec('UPDATE entries SET prev_idx = 0'));
    const report = await verify();
    expect(report.total).toBeGreaterThanOrEqual(590);
    expect(report.findings).toHaveLength(100);
  });
});

describe('entries that the writer should not have signed', () => {
  test.each<[string, (ledger: LedgerWriter) => void]>([
    ['not canonical', (ledger) => append(ledger, 'dec_1', Buffer.from('{ "v":1}'))],
    ['not an entry', (ledger) => append(ledger, 'dec_1', Buffer.from('{}'))],
    [
      'of another stream than the row says',
      (ledger) => append(ledger, 'dec_1', nextEntry(ledger, 'dec_2', 'x')),
    ],
    [
      'of another site',
      (ledger) => {
        const bytes = Buffer.from(nextEntry(ledger, 'dec_2', 'x')).toString();
        append(ledger, 'dec_2', Buffer.from(bytes.replace('outpost-7', 'outpost-8')));
      },
    ],
    [
      'skipping a number',
      (ledger) => {
        append(ledger, 'dec_new', nextEntry(ledger, 'dec_new', 'x'));
        const bytes = Buffer.from(nextEntry(ledger, 'dec_new', 'x')).toString();
        append(ledger, 'dec_new', Buffer.from(bytes.replace('"seq":1', '"seq":2')));
      },
    ],
    [
      'with another prev',
      (ledger) => {
        append(ledger, 'dec_new', nextEntry(ledger, 'dec_new', 'x'));
        const bytes = Buffer.from(nextEntry(ledger, 'dec_new', 'x')).toString();
        append(
          ledger,
          'dec_new',
          Buffer.from(bytes.replace(/"prev":"./, '"prev":"0').replace(/"prev":"0[0-9a-f]/, '"prev":"00')),
        );
      },
    ],
  ])('%s', async (_, misuse) => {
    const ledger = create(files);
    grow(ledger, 20, 10);
    misuse(ledger);
    storeHead(files, ledger);
    ledger.close();
    expect(await verify()).toMatchObject({ code: 10 });
    expect(() => check(files)).toThrow();
  });

  test('two that continue the same one', async () => {
    const ledger = create(files);
    append(ledger, 'dec_1', nextEntry(ledger, 'dec_1', 'first'));
    const [one, two] = [nextEntry(ledger, 'dec_1', 'one'), nextEntry(ledger, 'dec_1', 'two')];
    append(ledger, 'dec_1', one);
    append(ledger, 'dec_1', two);
    ledger.close();
    attack(files, (database) => {
      database.exec('UPDATE entries SET prev_idx = 0 WHERE idx = 2');
      database.exec('UPDATE streams SET seq = 1');
    });
    const report = await verify();
    expect(report.code).toBe(10);
    expect(report.findings[0]).toMatchObject({ index: 2 });
    expect(report.findings[0]?.detail).toMatch(/another entry has entry 0/);
  });
});

describe('an end that is not what it should be', () => {
  test('an older copy of the whole file is a rollback', async () => {
    const ledger = create(files);
    grow(ledger, 300, 30);
    const older = filesIn(temporaryDir());
    copyFiles(files, older);
    grow(ledger, 30, 30);
    storeHead(files, ledger);
    ledger.close();
    copyFiles({ ledger: older.ledger, head: files.head }, files);
    expect(await verify()).toMatchObject({ code: 14, entries: 300, findings: [{ what: 'head' }] });
  });

  test('removed newest entries are a rollback', async () => {
    atRest();
    attack(files, (database) => {
      database.exec('DELETE FROM entries WHERE idx >= 550; DELETE FROM checkpoints WHERE size > 550');
      database.exec('DELETE FROM streams WHERE last_idx >= 550');
    });
    const report = await verify();
    expect([10, 14]).toContain(report.code);
    expect(report.findings.some(({ code }) => code === 14)).toBe(true);
  });

  test('removed newest entries under a kept checkpoint show without a head store', async () => {
    const ledger = create(files);
    for (let n = 0; n < 20; n++) commitBatch(ledger, [`dec_${n}`]);
    ledger.close();
    attack(files, (database) =>
      database.exec('DELETE FROM entries WHERE idx = 19; DELETE FROM streams WHERE last_idx = 19'),
    );
    const report = await verifyLedger({ ledgerPath: files.ledger, trust: TRUST });
    expect(report).toMatchObject({ code: 14, checkpoint: null });
  });

  test('entries without a checkpoint are not yet covered', async () => {
    atRest();
    attack(files, (database) => database.exec('DELETE FROM checkpoints WHERE size = 600'));
    expect(await verifyLedger({ ledgerPath: files.ledger, trust: TRUST })).toMatchObject({
      code: 12,
      checkpoint: { size: 550 },
    });
  });

  test.each([0, 50, 4_096, 100_000])('a file cut to %i bytes is a rollback', async (length) => {
    atRest();
    truncateSync(files.ledger, length);
    expect(await verify()).toMatchObject({ code: 14, findings: [{ what: 'file' }] });
  });

  test('another history under the same key is tampering', async () => {
    atRest();
    const other = filesIn(temporaryDir());
    const ledger = create(other);
    for (let n = 0; n < 700; n += 50)
      commitBatch(
        ledger,
        Array.from({ length: 50 }, (_, i) => `dec_${n + i}`),
        'forged',
      );
    ledger.close();
    copyFiles({ ledger: other.ledger, head: files.head }, files);
    expect(await verify()).toMatchObject({ code: 10, findings: [{ what: 'head' }] });
  });
});

describe('signers', () => {
  test('an unknown key is said to be unknown', async () => {
    atRest();
    const report = await verify({ trust: { origin: ORIGIN, vkeys: [signerOf(8).vkey] } });
    expect(report.code).toBe(13);
    expect(report.findings.every(({ code }) => code === 13)).toBe(true);
  });

  test('a key is known beside others', async () => {
    atRest();
    const vkeys = [signerOf(8).vkey, ...TRUST.vkeys];
    expect(await verify({ trust: { origin: ORIGIN, vkeys } })).toMatchObject({ code: 0 });
  });

  test('of another site are one finding, not hundreds', async () => {
    atRest();
    const vkeys = [signerOf(9, 'else.example/ledger').vkey];
    for (const keys of [TRUST.vkeys, vkeys]) {
      const report = await verify({ trust: { origin: 'else.example/ledger', vkeys: keys } });
      expect(report).toMatchObject({ code: 13, total: 1, findings: [{ what: 'trust', where: ORIGIN }] });
      expect(report.findings[0]?.detail).toContain('else.example/ledger');
    }
  });

  test('of a later log of the same site are judged entry by entry', async () => {
    atRest(60);
    const later = `${ORIGIN}/1`;
    const report = await verify({ trust: { origin: later, vkeys: [signerOf(9, later).vkey] } });
    expect(report.code).toBe(10);
    expect(report.findings.filter(({ code }) => code === 13)).not.toEqual([]);
  });

  test('of a later log vouch for the one before, when they are given with its keys', async () => {
    atRest(60);
    const later = `${ORIGIN}/1`;
    const vkeys = [...TRUST.vkeys, signerOf(9, later).vkey];
    expect(await verify({ trust: { origin: later, vkeys } })).toMatchObject({ code: 0, origin: ORIGIN });
  });

  test('of another site beside one checkpoint that is ours are judged one by one', async () => {
    atRest();
    attack(files, (database) => {
      const other = "replace(CAST(note AS TEXT), 'outpost-7.example', 'else.example')";
      database.exec(`UPDATE checkpoints SET note = ${other} WHERE size > 50`);
    });
    const report = await verify();
    expect(report.total).toBeGreaterThan(5);
    expect(report.findings.map(({ what }) => what)).not.toContain('trust');
  });
});

describe('the head store', () => {
  function changeHead(sql: string): void {
    const database = openDatabase(files.head, { kind: HEAD_KIND });
    database.exec(sql);
    database.close();
  }

  test.each([
    ["UPDATE head SET root = replace(root, '0', '1')", 10],
    ['UPDATE head SET size = size - 50', 10],
    ["UPDATE head SET note = replace(note, 'A', 'B')", 10],
    ['DELETE FROM head', 10],
    ["UPDATE head SET origin = 'else.example/ledger'", 10],
  ])('%s', async (sql, code) => {
    atRest();
    changeHead(sql);
    expect(await verify()).toMatchObject({ code });
  });

  test('that is no head store is tampering', async () => {
    atRest();
    writeFileSync(
      files.head,
      'something else entirely, and long enough to hold a header of a hundred bytes or more, which this is',
    );
    expect(await verify()).toMatchObject({ code: 10, findings: [{ what: 'head' }] });
  });
});

describe('files', () => {
  test('that are missing are not judged', async () => {
    await expect(verify()).rejects.toMatchObject({ code: 'database.missing' });
    expect(existsSync(files.head)).toBe(false);
  });

  test('that lack the head store only are judged, and that is a finding', async () => {
    atRest();
    rmSync(files.head);
    const { code, entries, findings } = await verify();
    expect([code, entries]).toEqual([10, expect.any(Number)]);
    expect(findings).toMatchObject([{ what: 'head', detail: expect.stringContaining('is missing') }]);
    expect(entries).toBeGreaterThan(0);
    expect(existsSync(files.head)).toBe(false);
  });

  test('of a newer format are not judged', async () => {
    atRest();
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
    database.pragma('user_version = 2');
    database.close();
    await expect(verify()).rejects.toMatchObject({ code: 'database.newer' });
  });

  test('that are no database are tampering', async () => {
    atRest();
    writeFileSync(files.ledger, 'x'.repeat(10_000));
    expect(await verify()).toMatchObject({ code: 10, findings: [{ what: 'kind' }] });
  });

  test.each([
    ['a short note', 'Dear auditor, this is the wrong file.\n', 'text that begins with \\"Dear auditor'],
    ['88 bytes of text', `${'ledger '.repeat(12)}\nab\n`, 'a file of 88 bytes, text'],
    ['a picture', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3]), 'a file of 8 bytes, of another kind'],
  ])('that are %s are called what they are, not rolled back', async (_what, contents, said) => {
    writeFileSync(files.ledger, contents);
    const report = await verifyLedger({ ledgerPath: files.ledger, trust: TRUST });
    expect(report).toMatchObject({ code: 10, total: 1, findings: [{ what: 'kind' }] });
    expect(JSON.stringify(report.findings[0]?.detail)).toContain(said);
  });

  test('that begin like a ledger and end at once are cut, not foreign', async () => {
    atRest(60);
    truncateSync(files.ledger, 88);
    rmSync(`${files.ledger}-wal`, { force: true });
    expect(await verify()).toMatchObject({ code: 14, findings: [{ what: 'file' }] });
  });
});
