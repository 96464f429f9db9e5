import { beforeEach, describe, expect, test } from 'vitest';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { schemaDefects } from '../../daemon/ledger/schema.ts';
import { temporaryDir } from '../host/temporary.ts';
import { check, create, type Files, filesIn, grow } from './fixture.ts';

let files: Files;
let ledger: LedgerWriter;

beforeEach(() => {
  files = filesIn(temporaryDir());
  ledger = create(files);
  grow(ledger, 600, 60);
});

/** Each would change history if it passed; every one must fail and change nothing. */
const ATTACKS = [
  "UPDATE entries SET bytes = x'00' WHERE idx = 3",
  'UPDATE entries SET idx = 1000 WHERE idx = 599',
  'UPDATE OR REPLACE entries SET idx = 4 WHERE idx = 3',
  'UPDATE OR IGNORE entries SET prev_idx = NULL',
  'DELETE FROM entries WHERE idx = 599',
  'DELETE FROM entries',
  "INSERT OR REPLACE INTO entries (idx, bytes) VALUES (3, x'00')",
  "REPLACE INTO entries (idx, bytes) VALUES (599, x'00')",
  "INSERT OR IGNORE INTO entries (idx, bytes) VALUES (602, x'00')",
  "INSERT INTO entries (idx, bytes) VALUES (3, x'00') ON CONFLICT (idx) DO UPDATE SET bytes = excluded.bytes",
  "INSERT INTO entries (idx, bytes) VALUES (-1, x'00')",
  "INSERT INTO entries (idx, bytes) VALUES (601, x'00')",
  "INSERT INTO entries (bytes) VALUES (x'00')",
  "INSERT INTO entries (idx, bytes) VALUES (600, 'text')",
  'INSERT INTO entries (idx, bytes) VALUES (600, NULL)',
  'INSERT OR REPLACE INTO tiles (id, hashes) VALUES (0, zeroblob(8192))',
  'INSERT INTO tiles (id, hashes) VALUES (3, zeroblob(8192))',
  'INSERT INTO tiles (id, hashes) VALUES (2, zeroblob(8191))',
  'INSERT INTO tiles (id, hashes) VALUES (17592186044417, zeroblob(8192))',
  'INSERT INTO tiles (id, hashes) VALUES (-1, zeroblob(8192))',
  'UPDATE tiles SET hashes = zeroblob(8192)',
  'DELETE FROM tiles',
  "INSERT OR REPLACE INTO checkpoints (size, note) VALUES (600, 'forged')",
  "INSERT INTO checkpoints (size, note) VALUES (599, 'forged')",
  "INSERT INTO checkpoints (size, note) VALUES (601, 'forged')",
  "UPDATE checkpoints SET note = 'forged' WHERE size = 600",
  'DELETE FROM checkpoints WHERE size = 60',
];

describe('append-only tables', () => {
  test.each(ATTACKS)('%s', (sql) => {
    expect(() => ledger.database.exec(sql)).toThrow();
    expect(check(files).entries).toHaveLength(600);
    ledger.close();
  });

  test('hold also when recursive triggers are off', () => {
    ledger.database.pragma('recursive_triggers = OFF');
    for (const sql of ATTACKS) expect(() => ledger.database.exec(sql)).toThrow();
    expect(check(files).entries).toHaveLength(600);
    ledger.close();
  });

  test('accept the next of each', () => {
    ledger.database.exec("BEGIN; INSERT INTO entries (idx, bytes) VALUES (600, x'00')");
    ledger.database.exec('INSERT INTO tiles (id, hashes) VALUES (2, zeroblob(8192))');
    ledger.database.exec('INSERT INTO tiles (id, hashes) VALUES (17592186044416, zeroblob(8192))');
    ledger.database.exec("INSERT INTO checkpoints (size, note) VALUES (601, 'x'); ROLLBACK");
    ledger.close();
  });

  test('the schema itself cannot be written', () => {
    const rewrite =
      "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '' WHERE name = 'entries_update'";
    expect(() => ledger.database.exec(rewrite)).toThrow();
    expect(schemaDefects(ledger.database)).toEqual([]);
    ledger.close();
  });
});

describe('schema defects', () => {
  test.each([
    ['DROP TRIGGER entries_update', 'trigger entries_update is missing'],
    [
      'DROP TRIGGER entries_delete; CREATE TRIGGER entries_delete BEFORE DELETE ON entries BEGIN SELECT 1; END',
      'trigger entries_delete was altered',
    ],
    [
      'CREATE TRIGGER extra AFTER INSERT ON entries BEGIN DELETE FROM streams; END',
      'trigger extra does not belong to entries',
    ],
    ['CREATE UNIQUE INDEX extra ON tiles (hashes)', 'index extra does not belong to tiles'],
  ])('%s', (sql, defect) => {
    ledger.database.exec(sql);
    expect(schemaDefects(ledger.database)).toEqual([defect]);
    ledger.close();
  });

  test('tables of other layers are none', () => {
    ledger.database.exec('CREATE TABLE other (x INTEGER) STRICT; CREATE INDEX other_x ON other (x)');
    expect(schemaDefects(ledger.database)).toEqual([]);
    ledger.close();
  });
});
