import { existsSync, rmSync, statSync, truncateSync } from 'node:fs';
import { type Attack, noticed } from './evidence-table.ts';
import type { Loot, Year } from './evidence-world.ts';
import {
  decisionFrom,
  EARLY,
  editEarly,
  edited,
  flipAt,
  LATE,
  onLedger,
  rehash,
  textAt,
  writeAt,
} from './tampering.ts';

/* Entries and the database files that hold them. */

function cutTo(loot: Loot, keep: 'before the anchor' | 'after the anchor', year: Year): void {
  const anchored = Number(/-(\d+)\.anchor$/.exec(year.newestAnchor())?.[1]);
  onLedger(loot, (database) => {
    const sizes = database.prepareColumn<number>('SELECT size FROM checkpoints ORDER BY size').all();
    const size =
      keep === 'before the anchor'
        ? sizes.filter((one) => one < anchored - 3).at(-1)
        : sizes.find((one) => one > anchored + 1);
    database.prepare('DELETE FROM entries WHERE idx >= ?').run(size ?? 0);
    database.prepare('DELETE FROM checkpoints WHERE size > ?').run(size ?? 0);
  });
}

export const ON_ENTRIES: readonly Attack[] = [
  { what: 'nothing', tamper: () => {}, notices: noticed({}) },
  {
    what: 'edits a word of an entry',
    tamper: (loot) => {
      editEarly(loot);
    },
    notices: noticed({
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'edits a word of one of the newest entries',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const index = decisionFrom(database, LATE);
        writeAt(database, index, edited(textAt(database, index)));
      }),
    notices: noticed({
      start: 'refuses (5)',
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'edits an entry and makes the tree match, without the key',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const index = decisionFrom(database, EARLY);
        writeAt(database, index, edited(textAt(database, index)));
        rehash(database);
      }),
    notices: noticed({
      start: 'refuses (5)',
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'deletes an entry',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        database.prepare('DELETE FROM entries WHERE idx = ?').run(decisionFrom(database, EARLY));
      }),
    notices: noticed({
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'changes the order of two entries',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const one = decisionFrom(database, EARLY);
        const other = decisionFrom(database, one + 1);
        const [first, second] = [textAt(database, one), textAt(database, other)];
        writeAt(database, one, second);
        writeAt(database, other, first);
      }),
    notices: noticed({
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'inserts an entry between two others',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const index = decisionFrom(database, LATE);
        const text = textAt(database, index).replace(/"stream":"dec_....../, '"stream":"dec_000000');
        database.exec(`UPDATE entries SET idx = -idx - 1 WHERE idx >= ${index}`);
        database.exec('UPDATE entries SET idx = -idx WHERE idx < 0');
        database
          .prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, NULL, ?)')
          .run(index, Buffer.from(text, 'utf8'));
      }),
    notices: noticed({
      start: 'refuses (5)',
      background: 'halts the site',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'appends an entry without signing it',
    tamper: (loot) =>
      onLedger(loot, (database) => {
        const text = textAt(database, decisionFrom(database, LATE)).replaceAll(
          /dec_......../g,
          'dec_00000000',
        );
        const next = database.prepareColumn<number>('SELECT max(idx) + 1 FROM entries').get() ?? 0;
        database
          .prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, NULL, ?)')
          .run(next, Buffer.from(text, 'utf8'));
      }),
    notices: noticed({
      start: 'refuses (5)',
      verify: '10',
      auditor: '10',
      anchor: '10',
      witness: 'gets nothing',
      headquarters: '10',
    }),
  },
  {
    what: 'cuts the newest entries off, back to before the newest anchor',
    tamper: (loot, year) => cutTo(loot, 'before the anchor', year),
    notices: noticed({
      start: 'refuses (5)',
      verify: '10',
      copy: 'refuses',
      auditor: '10',
      anchor: '10',
      witness: '14',
      headquarters: '10',
    }),
  },
  {
    what: 'cuts off only what came after the newest anchor',
    tamper: (loot, year) => cutTo(loot, 'after the anchor', year),
    notices: noticed({
      start: 'refuses (5)',
      verify: '10',
      copy: 'refuses',
      auditor: '10',
      anchor: '10',
      headquarters: '10',
    }),
  },
  {
    what: 'cuts the database file in half',
    tamper: ({ paths }) =>
      truncateSync(paths.ledger, Math.floor(statSync(paths.ledger).size / 8_192) * 4_096),
    notices: noticed({
      start: 'refuses (5)',
      background: 'cannot look',
      verify: '14',
      auditor: '14',
      anchor: '14',
      witness: 'gets nothing',
      headquarters: '14',
    }),
  },
  {
    what: 'removes the write-ahead log after a crash',
    from: 'running',
    tamper: ({ paths }) => {
      if (!existsSync(`${paths.ledger}-wal`)) throw new Error('there is no log');
      rmSync(`${paths.ledger}-wal`);
      rmSync(`${paths.ledger}-shm`, { force: true });
    },
    notices: noticed({
      start: 'refuses (5)',
      copy: 'refuses',
      verify: '14',
      anchor: '14',
      witness: '14',
      headquarters: '14',
    }),
  },
  {
    what: 'changes a bit in the write-ahead log after a crash',
    from: 'running',
    // A page in the first frame, behind the headers of log and frame.
    tamper: ({ paths }) => flipAt(`${paths.ledger}-wal`, 32 + 24 + 50),
    notices: noticed({
      start: 'refuses (5)',
      verify: '10',
      copy: 'refuses',
      auditor: '10',
      anchor: '10',
      witness: '14',
      headquarters: '10',
    }),
  },
];
