import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry, type Entry, entryHash } from '../formats/entry.ts';
import { innerContradiction } from '../formats/entry-contradiction.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import type { Database } from './database.ts';
import { type Finding, tampered } from './finding.ts';
import type { EntryRows } from './verify-archive.ts';

/** Entries that are looked at for what in them was changed; a damaged page can hold more, and then it is the page. */
const MOST = 20;

/** What verification knows of where entries and signed roots part. */
export interface Parting {
  /** Entries whose hash is not the one in their tile. */
  changed: readonly number[];
  /** Size of the last checkpoint whose root the entries have; 0 when there is none. */
  lastRight: number;
  /** Size of the first whose root they do not have; null when they have all. */
  firstWrong: number | null;
}

/** The member of an entry that cannot be as it was signed, and why. */
interface Member {
  field: string;
  why: string;
  /** The entry that says so, if it was not changed itself. */
  by?: number;
}

/** What else is needed to judge an entry. */
interface Scene {
  rows: EntryRows;
  site: string;
  /** Entry → the next of its stream, by the database. */
  next: ReadonlyMap<number, number>;
}

/**
 * Which entries were changed after they were signed, and, as far as it can be told, which member of each. An entry's bytes are
 * signed as a whole: that a certain member was changed is told by elimination, from what the entries around it, which were not
 * changed, say about it; and from what the entry says twice.
 */
export function blame(
  database: Database,
  rows: EntryRows,
  site: string,
  { changed, lastRight, firstWrong }: Parting,
): Finding[] {
  if (firstWrong === null) return [];
  // Below a root that holds, entries are as signed: there the tile was changed.
  const certain = changed.filter((index) => index >= lastRight).slice(0, MOST);
  const loose = certain.length > 0 ? [] : indexes(lastRight, firstWrong);
  const asked = [...certain, ...loose.slice(0, TILE_WIDTH)];
  const scene = { rows, site, next: successors(database, asked) };
  const findings = certain.map((index) => judged(index, scene));
  if (loose.length === 0) return findings;
  const [only] = loose;
  if (loose.length === 1 && only !== undefined) return [judged(only, scene)];
  const odd = asked.filter((index) => memberOf(index, scene) !== null).slice(0, MOST);
  if (odd.length > 0) return odd.map((index) => eitherOr(index, lastRight, scene));
  const where = `entries[${lastRight}…${firstWrong - 1}]`;
  const detail =
    'the bytes of at least one of these entries are not those that were signed; which one cannot be told';
  return [tampered('entry', where, detail, lastRight)];
}

function indexes(from: number, to: number): number[] {
  return Array.from({ length: Math.min(to - from, TILE_WIDTH) }, (_, at) => from + at);
}

/** Of an entry and the one before it, that do not fit together and may both have been changed. */
function eitherOr(index: number, lastRight: number, scene: Scene): Finding {
  const { by } = memberOf(index, scene) ?? {};
  if (by === undefined || by < lastRight) return judged(index, scene);
  const detail = `either its bytes are not those that were signed, or the prev of entry ${index} is not`;
  return tampered('entry', `entries[${by}]`, detail, by);
}

function judged(index: number, scene: Scene): Finding {
  const member = memberOf(index, scene);
  const where = `entries[${index}]`;
  if (member === null) {
    const detail =
      'its bytes are not those that were signed: actor, at, time_trust, type or data; which of them cannot be told';
    return tampered('entry', where, detail, index);
  }
  const detail = `its bytes are not those that were signed: ${member.why}`;
  return { ...tampered('entry', where, detail, index), field: member.field };
}

/** The member of an entry that its surroundings contradict, and in which words; null when nothing does. */
function memberOf(index: number, scene: Scene): Member | null {
  const read = readEntry(index, scene.rows);
  if (read === null) return null;
  if ('field' in read) return read;
  const { entry, previous } = read;
  if (entry.site !== scene.site) return { field: '/site', why: `it is of site ${entry.site}` };
  return (
    ofPlace(entry, previous, scene) ??
    ofNext(index, entry, scene) ??
    ofTime(index, entry, scene) ??
    innerContradiction(entry)
  );
}

/** Stream, seq and prev, by the entry that it names as the one before. */
function ofPlace(entry: Entry, previous: number | null, { rows }: Scene): Member | null {
  const { seq, prev, stream } = entry;
  if (previous === null) return seq === 0 ? null : { field: '/seq', why: `seq is ${seq} and should be 0` };
  const before = readEntry(previous, rows);
  if (before === null || 'field' in before) return null;
  const { entry: earlier, bytes } = before;
  if (stream !== earlier.stream) return { field: '/stream', why: `stream is not that of entry ${previous}` };
  if (seq !== earlier.seq + 1)
    return { field: '/seq', why: `seq is ${seq} and should be ${earlier.seq + 1}` };
  if (prev !== entryHash(bytes))
    return { field: '/prev', why: `prev is not the hash of entry ${previous}`, by: previous };
  return null;
}

/** Stream and seq, by the entry that names it as the one before. */
function ofNext(index: number, entry: Entry, { rows, next }: Scene): Member | null {
  const after = next.get(index);
  const later = after === undefined ? null : readEntry(after, rows);
  if (later === null || 'field' in later) return null;
  if (entry.stream !== later.entry.stream)
    return { field: '/stream', why: `stream is not that of entry ${after}` };
  if (entry.seq !== later.entry.seq - 1)
    return { field: '/seq', why: `seq is ${entry.seq} and should be ${later.entry.seq - 1}` };
  return null;
}

/** Time goes on from entry to entry, but where a clock was set, which both entries around it would show. */
function ofTime(index: number, { at }: Entry, { rows }: Scene): Member | null {
  const before = timeOf(index - 1, rows);
  const after = timeOf(index + 1, rows);
  if (before !== null && after !== null && before > after) return null;
  if (before !== null && at < before)
    return { field: '/at', why: `at goes back behind that of entry ${index - 1}` };
  if (after !== null && at > after)
    return { field: '/at', why: `at is later than that of entry ${index + 1}` };
  return null;
}

function timeOf(index: number, rows: EntryRows): string | null {
  const read = index < 0 ? null : readEntry(index, rows);
  return read === null || 'field' in read ? null : read.entry.at;
}

/** An entry with its predecessor by the database; the member that is malformed; or null when it is not here. */
function readEntry(
  index: number,
  rows: EntryRows,
): { entry: Entry; bytes: Uint8Array; previous: number | null } | Member | null {
  const [row] = [...rows.range(index, index + 1)];
  const text = row?.[2] ?? null;
  if (row === undefined || text === null) return null;
  const bytes = rows.bytes(index);
  try {
    return { entry: decodeEntry(bytes), bytes, previous: row[1] };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return { field: error.at ?? '', why: error.message };
  }
}

/** Which entries follow others in their streams; one pass, because nothing but verification ever asks. */
function successors(database: Database, indexes: readonly number[]): Map<number, number> {
  if (indexes.length === 0) return new Map();
  const rows = database
    .prepareTuple<[previous: number, index: number]>(
      'SELECT prev_idx, idx FROM entries WHERE prev_idx IN (SELECT value FROM json_each(?))',
    )
    .all(JSON.stringify(indexes));
  return new Map(rows);
}
