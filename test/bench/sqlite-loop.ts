import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';

/** Rows that share one commit. */
export const BATCH_ROWS = 32;

/**
 * The floor under any durable ledger on SQLite: rows of `bytesPerRow` bytes into one table, WAL, `synchronous=FULL`, 32
 * rows to a commit, and nothing else: no evaluation, no hashes, no proofs, no client. Returns rows per second.
 */
export function runSqliteLoop(directory: string, bytesPerRow: number, durationMs: number): number {
  const place = mkdtempSync(join(directory, 'sqlite-'));
  const database = new BetterSqlite3(join(place, 'loop.sqlite'));
  try {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.exec('CREATE TABLE rows (idx INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT');
    const insert = database.prepare('INSERT INTO rows VALUES (?, ?)');
    const bytes = randomFillSync(Buffer.alloc(bytesPerRow));
    let next = 0;
    const batch = database.transaction(() => {
      for (let row = 0; row < BATCH_ROWS; row++) {
        bytes.writeUInt32LE(next);
        insert.run(next++, bytes);
      }
    });
    const started = performance.now();
    let now = started;
    while (now - started < durationMs) {
      batch();
      now = performance.now();
    }
    return next / ((now - started) / 1_000);
  } finally {
    database.close();
    rmSync(place, { recursive: true });
  }
}
