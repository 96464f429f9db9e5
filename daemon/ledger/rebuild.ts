import { decodeEntry } from '../formats/entry.ts';
import type { Database } from './database.ts';
import { walkEntries } from './entry-walk.ts';

export interface RebuildReport {
  table: 'streams';
  rows: number;
  /** Rows that were missing, surplus or different before. */
  repaired: number;
}

interface Position {
  seq: number;
  last: number;
}

/**
 * Makes the projection `streams` anew from the entries, inside the caller's transaction. Entries are taken as they are:
 * verify the ledger first. Throws `BoundaryError` `entry.*` for one that cannot be read; the caller then rolls back.
 */
export function rebuildStreams(database: Database): RebuildReport {
  if (!database.inTransaction) throw new Error('rebuildStreams: needs a transaction');
  const streams = streamsOf(database);
  const repaired = countDifferences(database, streams);
  database.exec('DELETE FROM streams');
  const insert = database.prepare('INSERT INTO streams (stream, seq, last_idx) VALUES (?, ?, ?)');
  for (const [stream, { seq, last }] of streams) insert.run(stream, seq, last);
  return { table: 'streams', rows: streams.size, repaired };
}

function streamsOf(database: Database): Map<string, Position> {
  const streams = new Map<string, Position>();
  for (const { index: last, bytes } of walkEntries(database)) {
    const { stream, seq } = decodeEntry(bytes);
    streams.set(stream, { seq, last });
  }
  return streams;
}

function countDifferences(database: Database, streams: ReadonlyMap<string, Position>): number {
  let surplus = 0;
  let equal = 0;
  const rows = database.prepareTuple<[string, number, number]>('SELECT stream, seq, last_idx FROM streams');
  for (const [stream, seq, last] of rows.iterate()) {
    const position = streams.get(stream);
    if (position === undefined) surplus++;
    else if (position.seq === seq && position.last === last) equal++;
  }
  return surplus + streams.size - equal;
}
