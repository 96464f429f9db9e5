import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import type { Finding } from '../../daemon/ledger/finding.ts';
import { IntegrityChecker } from '../../daemon/ledger/integrity.ts';
import { readProgress, writeProgress } from '../../daemon/ledger/integrity-progress.ts';
import { LEDGER_KIND, TILE_LEVEL_STEP } from '../../daemon/ledger/schema.ts';
import { temporaryDir } from '../host/temporary.ts';
import { archive, carry, commitStreams } from './archive-world.ts';
import { attack, create, type Files, filesIn, grow, ORIGIN, SIGNER, signerOf, TRUST } from './fixture.ts';

let files: Files;

beforeEach(() => {
  files = filesIn(temporaryDir());
});

function checker(vkey = SIGNER.vkey): IntegrityChecker {
  return new IntegrityChecker(files.ledger, archiveDir(files.ledger), () => ({
    origin: ORIGIN,
    vkeys: [vkey],
  }));
}

/** One pass over everything. */
function pass(of: IntegrityChecker): Finding[] {
  const findings = of.frame();
  for (let next = 0; ; ) {
    const looked = of.chunk(next - (next % 256));
    if (looked === null || looked.next === next) return findings;
    findings.push(...looked.findings);
    next = looked.next;
  }
}

/** 66,000 entries would be a level-2 tile; 3,000 are enough for full tiles, an unfinished one and several pieces. */
function ledgerOf(entries: number): void {
  const ledger = create(files);
  grow(ledger, entries, 100);
  archive(ledger, 256, 512);
  ledger.close();
}

describe('the background check', () => {
  test('finds nothing wrong with what grows meanwhile, archived entries and others elsewhere', () => {
    ledgerOf(2_300);
    const check = checker();
    expect(pass(check)).toEqual([]);
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND, readonly: true });
    database.close();
    expect(check.chunk(2_304)).toBeNull();
    expect(check.chunk(2_048)).toMatchObject({ next: 2_301, size: 2_301, findings: [] });
    check.close();
  });

  test('goes on where the ledger has grown, and where a file was carried off', () => {
    const ledger = create(files);
    grow(ledger, 1_000, 100);
    const check = checker();
    expect(pass(check)).toEqual([]);
    archive(ledger, 0, 256);
    carry(ledger, 0);
    rmSync(join(dirname(files.ledger), 'archive', '000000000000-000000000256.entries.zst'));
    commitStreams(ledger, ['system', 'dec_new', 'dec_new']);
    expect(pass(check)).toEqual([]);
    check.close();
    ledger.close();
  });

  const damage: [what: string, sql: string, where: string][] = [
    ['an entry of a full tile', 'UPDATE entries SET bytes = zeroblob(10) WHERE idx = 700', 'entries[700]'],
    [
      'an entry after the last full tile',
      `UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'd 2', 'd 3') AS BLOB) WHERE idx = 2299`,
      'checkpoints[2300]',
    ],
    ['a missing entry', 'DELETE FROM entries WHERE idx = 900', 'entries[900]'],
    ['a tile', 'UPDATE tiles SET hashes = zeroblob(8192) WHERE id = 4', 'tile/0/4'],
    ['a missing tile', 'DELETE FROM tiles WHERE id = 4', 'tile/0/4'],
    [
      'a checkpoint',
      `UPDATE checkpoints SET note = replace(note, 'a', 'b') WHERE size = 800`,
      'checkpoints[800]',
    ],
    [
      'an archived entry that is back, changed',
      'INSERT INTO entries SELECT 300, 299, bytes FROM entries WHERE idx = 1',
      'entries[300]',
    ],
    [
      'a link',
      'UPDATE entries SET prev_idx = NULL WHERE idx = (SELECT max(idx) FROM entries WHERE prev_idx > 600)',
      '',
    ],
  ];
  test.each(damage)('finds %s, also after a clean pass', (_, sql, where) => {
    ledgerOf(2_300);
    const check = checker();
    expect(pass(check)).toEqual([]);
    attack(files, (database) => database.exec(sql));
    const found = pass(check).map((finding) => finding.where);
    expect(found.length).toBeGreaterThan(0);
    if (where !== '') expect(found).toContain(where);
    check.close();
  });

  test('finds a tile above level 0 that was changed', () => {
    const ledger = create(files);
    grow(ledger, 66_000, 2_000);
    ledger.close();
    attack(files, (database) =>
      database.exec(`UPDATE tiles SET hashes = zeroblob(8192) WHERE id = ${TILE_LEVEL_STEP}`),
    );
    const check = checker();
    expect(pass(check).map(({ where }) => where)).toContain('tile/1/0');
    check.close();
  });

  test('finds a trigger that is gone, an archive file that is gone, a key that nobody vouches for', () => {
    ledgerOf(600);
    const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
    database.exec('DROP TRIGGER entries_delete');
    database.close();
    rmSync(join(dirname(files.ledger), 'archive', '000000000256-000000000512.entries.zst'));
    const check = checker();
    expect(check.frame().map(({ what }) => what)).toEqual(['schema', 'archive']);
    check.close();
    const stranger = checker(signerOf(9).vkey);
    expect(pass(stranger).some(({ code }) => code === 13)).toBe(true);
    stranger.close();
    expect(TRUST.origin).toBe(ORIGIN);
  });

  test('keeps its progress, and begins anew when it cannot be read or is of another log', () => {
    const path = join(temporaryDir(), 'integrity.json');
    expect(readProgress(path, ORIGIN)).toBeNull();
    const progress = {
      v: 1 as const,
      origin: ORIGIN,
      started_at: '2031-01-01T00:00:00.000Z',
      next: 512,
      size: 600,
      found: 0,
      done: false,
      last: null,
    };
    writeProgress(path, progress);
    expect(readProgress(path, ORIGIN)).toEqual(progress);
    expect(readProgress(path, `${ORIGIN}/2`)).toBeNull();
    writeProgress(path, { ...progress, next: -1 });
    expect(readProgress(path, ORIGIN)).toBeNull();
  });
});
