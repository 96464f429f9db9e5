import { chmodSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { HEAD_KIND, LEDGER_KIND } from '../../daemon/ledger/schema.ts';
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
  signerOf,
  storeHead,
  TRUST,
} from './fixture.ts';

let files: Files;

beforeEach(() => {
  files = filesIn(temporaryDir());
});

function code(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

function change(sql: string): void {
  const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
  database.exec(sql);
  database.close();
}

describe('creating', () => {
  test('never overwrites', () => {
    grow(create(files), 3, 3);
    const before = readFileSync(files.ledger);
    expect(code(() => create(files))).toBe('database.exists');
    expect(readFileSync(files.ledger)).toEqual(before);
    rmSync(files.ledger);
    expect(code(() => create(files))).toBe('database.exists');
  });

  test('refuses a key that is named otherwise', () => {
    expect(code(() => open(files, signerOf(7, 'else.example/ledger')))).toBe('ledger.key');
  });
});

describe('opening', () => {
  test('goes on where the last writer stopped', () => {
    let ledger = create(files);
    const notes: (string | null)[] = [];
    for (const entries of [1, 254, 1, 1, 300]) {
      grow(ledger, entries, 100);
      notes.push(ledger.checkpoint());
      ledger.close();
      ledger = open(files);
      expect(ledger.checkpoint()).toBe(notes.at(-1));
      expect(ledger.recovered).toBeNull();
    }
    storeHead(files, ledger);
    ledger.close();
    expect(check(files)).toMatchObject({ headSize: 557 });
    open(files).close();
  });

  test('makes nothing that is missing', () => {
    expect(code(() => open(files))).toBe('database.missing');
    expect(existsSync(files.ledger)).toBe(false);
    commitBatch(create(files), ['system']);
    rmSync(files.head);
    expect(code(() => open(files))).toBe('database.missing');
    expect(existsSync(files.head)).toBe(false);
  });

  test('refuses a ledger whose initialization did not finish', () => {
    create(files).close();
    expect(code(() => open(files))).toBe('ledger.empty');
  });

  test('refuses an older copy of the file, and changes nothing', () => {
    const ledger = create(files);
    grow(ledger, 300, 30);
    const older = filesIn(temporaryDir());
    copyFiles(files, older);
    grow(ledger, 1, 1);
    storeHead(files, ledger);
    ledger.close();
    rmSync(files.ledger);
    copyFiles({ ledger: older.ledger, head: files.head }, files);
    const before = [readFileSync(files.ledger), readFileSync(`${files.ledger}-wal`)];
    expect(code(() => open(files))).toBe('ledger.rolled_back');
    expect([readFileSync(files.ledger), readFileSync(`${files.ledger}-wal`)]).toEqual(before);
  });

  test('refuses another history of the same length', () => {
    const ledger = create(files);
    grow(ledger, 30, 30);
    storeHead(files, ledger);
    ledger.close();
    const other = filesIn(temporaryDir());
    const forged = create(other);
    for (let n = 0; n < 40; n++) commitBatch(forged, [`dec_${n}`], 'forged');
    forged.close();
    copyFiles({ ledger: other.ledger, head: files.head }, files);
    expect(code(() => open(files))).toBe('ledger.forked');
  });

  test('refuses another signing key', () => {
    grow(create(files), 3, 3);
    expect(code(() => open(files, signerOf(8)))).toBe('ledger.key');
  });

  test('refuses entries that no checkpoint covers', () => {
    const ledger = create(files);
    grow(ledger, 3, 3);
    ledger.database.exec("INSERT INTO entries (idx, bytes) VALUES (3, x'7b7d')");
    ledger.close();
    expect(code(() => open(files))).toBe('ledger.unsealed');
  });

  test('refuses a changed entry of the last tile', () => {
    grow(create(files), 300, 30);
    change("DROP TRIGGER entries_update; UPDATE entries SET bytes = x'00' WHERE idx = 299");
    expect(code(() => open(files))).toBe('ledger.schema');
    change(
      "CREATE TRIGGER entries_update BEFORE UPDATE ON entries\nBEGIN SELECT RAISE(ABORT, 'entries: append-only'); END",
    );
    expect(code(() => open(files))).toBe('ledger.tampered');
  });

  test('refuses a head store that does not know the ledger', () => {
    grow(create(files), 3, 3);
    const heads = openDatabase(files.head, { kind: HEAD_KIND });
    heads.exec('DELETE FROM head');
    heads.close();
    expect(code(() => open(files))).toBe('head.missing');
  });

  test('refuses files of another kind, exchanged or cut', () => {
    const ledger = create(files);
    grow(ledger, 600, 60);
    ledger.close();
    const whole = readFileSync(files.ledger);
    for (const size of [8_192, whole.length - 4_096, whole.length - 1]) {
      writeFileSync(files.ledger, whole);
      truncateSync(files.ledger, size);
      expect(code(() => open(files))).toBe('ledger.damaged');
    }
    writeFileSync(files.ledger, readFileSync(files.head));
    expect(code(() => open(files))).toBe('database.kind');
    writeFileSync(
      files.ledger,
      'not a database, but long enough to have what could be a header of one hundred bytes, as here',
    );
    expect(code(() => open(files))).toBe('database.unreadable');
    writeFileSync(files.ledger, '');
    expect(code(() => open(files))).toBe('ledger.damaged');
    writeFileSync(files.ledger, whole);
    open(files).close();
  });

  test('refuses a newer format', () => {
    grow(create(files), 3, 3);
    change('PRAGMA user_version = 2');
    expect(code(() => open(files))).toBe('database.newer');
  });
});

describe('viewing', () => {
  test('shows one snapshot while the writer goes on', () => {
    const ledger = create(files);
    grow(ledger, 300, 30);
    const view = viewLedger(files.ledger, TRUST);
    const note = ledger.checkpoint();
    grow(ledger, 30, 30);
    expect(view.size).toBe(300);
    expect(view.checkpoint()).toBe(note);
    expect(view.inclusionProof(299)).toHaveLength(ledger.inclusionProof(299, 300).length);
    expect(view.entry(300)).toBeNull();
    expect(() => view.database.exec('DELETE FROM streams')).toThrow(/readonly/);
    view.close();
    ledger.close();
  });

  test('does not need write permission on the file', () => {
    const ledger = create(files);
    grow(ledger, 3, 3);
    ledger.close();
    chmodSync(files.ledger, 0o400);
    const view = viewLedger(files.ledger, TRUST);
    expect(view.size).toBe(3);
    view.close();
  });
});
