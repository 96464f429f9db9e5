import { statSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { leafHash, verifyConsistency, verifyInclusion } from '../../daemon/formats/merkle.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { temporaryDir } from '../host/temporary.ts';
import {
  check,
  commitBatch,
  create,
  type Files,
  filesIn,
  grow,
  nextEntry,
  open,
  streamNames,
  TRUST,
} from './fixture.ts';

let files: Files;
let ledger: LedgerWriter;

beforeEach(() => {
  files = filesIn(temporaryDir());
  ledger = create(files);
});

describe('a batch', () => {
  test('is one checkpoint over all entries, each with its proof', () => {
    const before = openCheckpoint(commitBatch(ledger, ['system']), TRUST);
    const checkpoint = openCheckpoint(commitBatch(ledger, streamNames(0, 300)), TRUST);
    expect(checkpoint.size).toBe(301);
    for (const { index, bytes } of ledger.entries(0, 301)) {
      const proof = ledger.inclusionProof(index);
      expect(verifyInclusion(leafHash(bytes), index, 301, proof, checkpoint.root)).toBe(true);
    }
    expect(verifyConsistency(1, 301, ledger.consistencyProof(1), before.root, checkpoint.root)).toBe(true);
    expect(check(files).entries).toHaveLength(301);
    ledger.close();
  });

  test('sees its own entries when it continues a stream', () => {
    ledger.begin();
    const first = nextEntry(ledger, 'dec_1', 'a');
    ledger.append('dec_1', first);
    expect(ledger.streamHead('dec_1')).toMatchObject({ seq: 1, last: 0 });
    ledger.append('dec_1', nextEntry(ledger, 'dec_1', 'b'));
    expect(ledger.size).toBe(0);
    expect(ledger.checkpoint()).toBeNull();
    ledger.seal();
    ledger.commit();
    expect(ledger.stream('dec_1').map(({ index }) => index)).toEqual([0, 1]);
    expect(ledger.stream('dec_2')).toEqual([]);
    check(files);
    ledger.close();
  });

  test('without entries keeps the checkpoint', () => {
    const note = commitBatch(ledger, ['system']);
    expect(commitBatch(ledger, [])).toBe(note);
    expect(ledger.size).toBe(1);
    ledger.close();
  });

  test('that is rolled back leaves nothing, in memory and in the file', () => {
    commitBatch(ledger, streamNames(0, 250));
    for (const sealed of [false, true]) {
      ledger.begin();
      for (const stream of streamNames(250, 20)) ledger.append(stream, nextEntry(ledger, stream, 'gone'));
      if (sealed) ledger.seal();
      ledger.rollback();
      expect(ledger.size).toBe(250);
      expect(ledger.entry(250)).toBeNull();
      expect(ledger.streamHead('dec_251').seq).toBe(0);
    }
    grow(ledger, 30, 10);
    expect(check(files).entries).toHaveLength(280);
    ledger.close();
  });

  test('has its steps in one order only', () => {
    const entry = nextEntry(ledger, 'system', 'x');
    expect(() => ledger.append('system', entry)).toThrow(/idle, not open/);
    expect(() => ledger.seal()).toThrow(/idle, not open/);
    expect(() => ledger.commit()).toThrow(/idle, not sealed/);
    ledger.begin();
    expect(() => ledger.begin()).toThrow(/open, not idle/);
    ledger.append('system', entry);
    expect(() => ledger.commit()).toThrow(/open, not sealed/);
    ledger.seal();
    expect(() => ledger.append('system', entry)).toThrow(/sealed, not open/);
    ledger.commit();
    ledger.close();
  });

  test('refuses an entry that no bundle could hold, and can go on without it', () => {
    ledger.begin();
    expect(() => ledger.append('dec_1', new Uint8Array(65_536))).toThrow(/at most 65535 fit/);
    ledger.append('dec_1', nextEntry(ledger, 'dec_1', 'x'.repeat(60_000)));
    ledger.seal();
    ledger.commit();
    check(files);
    ledger.close();
  });
});

describe('a failure inside a batch', () => {
  /** SQLite's own page limit makes it run out of space at any statement we like. */
  function withPages(more: number, work: () => void): void {
    const now = Number(ledger.database.pragma('page_count'));
    ledger.database.pragma(`max_page_count = ${now + more}`);
    try {
      work();
    } finally {
      ledger.database.pragma('max_page_count = 1073741823');
    }
  }

  test('at any point loses that batch only', () => {
    commitBatch(ledger, streamNames(0, 200));
    let failures = 0;
    for (let pages = 0; pages < 60; pages += 3) {
      const before = ledger.size;
      withPages(pages, () => {
        try {
          commitBatch(ledger, streamNames(before, 120), 'x'.repeat(1_000));
        } catch (error) {
          expect((error as { code?: string }).code).toBe('SQLITE_FULL');
          ledger.rollback();
          expect(ledger.size).toBe(before);
          failures++;
        }
      });
      commitBatch(ledger, streamNames(ledger.size, 3));
      check(files);
    }
    expect(failures).toBeGreaterThan(5);
    ledger.close();
    expect(open(files).size).toBe(check(files).entries.length);
  });
});

test('files are the owner’s alone', () => {
  commitBatch(ledger, ['system']);
  for (const path of [files.ledger, `${files.ledger}-wal`, `${files.ledger}-shm`, files.head]) {
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }
  ledger.close();
});

test('settling moves the log into the file and keeps everything', () => {
  grow(ledger, 100, 10);
  ledger.settle();
  commitBatch(ledger, ['after']);
  expect(statSync(`${files.ledger}-wal`).size).toBeGreaterThan(0);
  expect(check(files).entries).toHaveLength(101);
  ledger.close();
});
