import { join } from 'node:path';

import { isOpen, type RetentionRule } from '../core/retention.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { equalBytes, sha256Hex } from '../formats/digest.ts';
import { decodeEntry } from '../formats/entry.ts';
import { leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { makeDir, writeDurable } from '../host/durable-file.ts';
import { openArchive } from '../ledger/archive.ts';
import { type ArchivedEntry, archiveName, encodeArchive } from '../ledger/archive-file.ts';
import type { Database, Statement } from '../ledger/database.ts';
import {
  isArchivable,
  type Kept,
  keptOf,
  readSegments,
  type Segment,
  type SegmentFile,
} from '../ledger/segments.ts';
import type { DecisionRow } from './projections.ts';

/** A segment that the policy lets move, and what stays of it. */
export interface Candidate {
  first: number;
  until: number;
  kept: Kept;
  /** When its newest entry was recorded. */
  newest_at: string;
}

/** A segment that is old enough and has to stay, and for which decision. */
export interface HeldSegment {
  first: number;
  until: number;
  decision: string;
  why: string;
}

export interface RetentionPlan {
  candidates: Candidate[];
  held: HeldSegment[];
}

/** A segment whose archive file lies ready. */
export interface Prepared extends Candidate {
  file: SegmentFile;
}

type Row = [index: number, previous: number | null, bytes: Uint8Array];

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Which segments may move into archive files at an instant: closed, older than the rule, all their decisions closed and
 * not held. Oldest first, at most `limit`. Reads one snapshot of the ledger; nothing is changed.
 */
export function planRetention(
  database: Database,
  rule: RetentionRule,
  now: number,
  limit: number,
): RetentionPlan {
  const planner = new Planner(database);
  const plan: RetentionPlan = { candidates: [], held: [] };
  for (const [first, until] of openRanges(database, rule.segmentSize)) {
    if (plan.candidates.length >= limit) break;
    const newest = planner.recordedAt(until - 1);
    // Later segments are younger still.
    if (newest === null || Date.parse(newest) > now - rule.archiveAfterMs) break;
    const found = planner.look(first, until);
    if ('decision' in found) plan.held.push({ first, until, ...found });
    else plan.candidates.push({ first, until, newest_at: newest, kept: found });
  }
  return plan;
}

/** An archive file is held in memory, by its thread and by whoever reads an entry of it. */
const SEGMENT_MAX_BYTES = 64 * 1_048_576;

/** The closed segments of the log that were not archived yet, oldest first. Large entries make them shorter. */
function* openRanges(database: Database, size: number): Generator<[first: number, until: number]> {
  const count = (database.prepareColumn<number | null>('SELECT max(idx) FROM entries').get() ?? -1) + 1;
  const bytes = database.prepareColumn<number>(
    'SELECT coalesce(sum(length(bytes)), 0) FROM entries WHERE idx >= ? AND idx < ?',
  );
  const fitting = (first: number, until: number): number => {
    let end = until;
    while (end - first > TILE_WIDTH && (bytes.get(first, end) ?? 0) > SEGMENT_MAX_BYTES)
      end = first + Math.max(TILE_WIDTH, Math.floor((end - first) / 2 / TILE_WIDTH) * TILE_WIDTH);
    return end;
  };
  let first = 0;
  for (const segment of readSegments(database)) {
    while (first < segment.first) {
      const until = fitting(first, Math.min(first + size, segment.first));
      yield [first, until];
      first = until;
    }
    first = segment.until;
  }
  while (first + size <= count) {
    const until = fitting(first, first + size);
    yield [first, until];
    first = until;
  }
}

class Planner {
  readonly #rows: Statement<Row>;
  readonly #row: Statement<DecisionRow>;
  readonly #bytes: Statement<Uint8Array>;
  /** Decision → why it must stay. */
  readonly #held: ReadonlyMap<string, string>;

  constructor(database: Database) {
    this.#rows = database.prepareTuple(
      'SELECT idx, prev_idx, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    );
    this.#row = database.prepare('SELECT * FROM decisions WHERE id = ?');
    this.#bytes = database.prepareColumn('SELECT bytes FROM entries WHERE idx = ?');
    this.#held = heldDecisions(database);
  }

  recordedAt(index: number): string | null {
    const bytes = this.#bytes.get(index);
    return bytes === undefined ? null : decodeEntry(bytes).at;
  }

  /** What stays of a segment, or the decision for which all of it does. */
  look(first: number, until: number): Kept | { decision: string; why: string } {
    const staying: number[] = [];
    for (const [index, , bytes] of this.#rows.iterate(first, until)) {
      const { stream } = decodeEntry(bytes);
      if (!isArchivable(stream)) staying.push(index);
      else {
        const why = this.#whyItStays(stream);
        if (why !== null) return { decision: stream, why };
      }
    }
    return keptOf(staying);
  }

  #whyItStays(decision: string): string | null {
    const row = this.#row.get(decision);
    if (row === undefined) return 'its row is missing: run holdfast ledger rebuild';
    return isOpen(row) ? 'it is not closed' : (this.#held.get(decision) ?? null);
  }
}

const NAMED = /\b(?:dec|prm)_([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})\b/g;

/** Decisions that stay although they are closed: held by hand, named by an open incident, asked under an unreviewed break-glass session. */
export function heldDecisions(database: Database): Map<string, string> {
  const open = database.prepare<{ id: string; first_idx: number }>(
    "SELECT id, first_idx FROM standing WHERE kind = ? AND state <> 'closed' ORDER BY first_idx",
  );
  const bytes = database.prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx = ?');
  const under = database.prepareColumn<string>('SELECT decision FROM under_breakglass WHERE session = ?');
  const held = new Map<string, string>();
  for (const { id, first_idx: opened } of open.all('incident')) {
    const text = Buffer.from(bytes.get(opened) ?? new Uint8Array()).toString('utf8');
    for (const [, uuid] of text.matchAll(NAMED)) held.set(`dec_${uuid}`, `incident ${id} is open`);
  }
  for (const { id } of open.all('breakglass')) {
    for (const decision of under.all(id)) held.set(decision, `break-glass session ${id} was not reviewed`);
  }
  for (const { id } of open.all('legal_hold')) held.set(id, 'it is held');
  return held;
}

/**
 * Writes the archive file of a segment and reads it back: it holds exactly the entries that the tree has. A file of the
 * same name, left by a crash, is replaced. Nothing refers to it before its `ledger.pruned` entry is committed.
 */
export function prepareSegment(
  database: Database,
  { directory, origin }: { directory: string; origin: string },
  candidate: Candidate,
): Prepared {
  const { first, until } = candidate;
  const entries = database
    .prepare<ArchivedEntry>(
      'SELECT prev_idx AS previous, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    )
    .all(first, until);
  if (entries.length !== until - first) throw notWhole(first, until);
  const bytes = encodeArchive(origin, first, entries);
  const name = archiveName(first, until);
  const file = { name, bytes: bytes.length, sha256: sha256Hex(bytes) };
  makeDir(directory, DIRECTORY_MODE);
  writeDurable(join(directory, name), bytes, FILE_MODE);
  assertReadsBack(database, directory, { ...candidate, file });
  return { ...candidate, file };
}

/** What was written is on the disk, and every entry in it is the leaf that the tree has. */
function assertReadsBack(
  database: Database,
  directory: string,
  { first, until, kept, file }: Prepared,
): void {
  const segment: Segment = { first, until, kept, file, record: until, carried: null };
  const archive = openArchive(directory, segment);
  const tile = database.prepareColumn<Uint8Array>('SELECT hashes FROM tiles WHERE id = ?');
  for (let index = first; index < until; ) {
    const hashes = tile.get(index / TILE_WIDTH);
    for (let at = 0; at < TILE_WIDTH; at++, index++) {
      const leaf = hashes?.subarray(32 * at, 32 * at + 32);
      if (leaf === undefined || !equalBytes(leafHash(archive.entry(index).bytes), leaf))
        throw notWhole(first, until);
    }
  }
}

/** What is damaged is evidence as it is: it is not moved. */
function notWhole(first: number, until: number): BoundaryError {
  return new BoundaryError(
    'retention.damaged',
    `Entries ${first} to ${until - 1} are not those that the tree has, so nothing of them was archived. Run holdfast ledger verify; restore a backup if it finds them damaged.`,
  );
}

/** What a round is to do: sent to its thread. */
export interface RetentionTask {
  ledger: string;
  directory: string;
  origin: string;
  rule: RetentionRule;
  now: number;
  limit: number;
  /** False: only say what would move. */
  write: boolean;
}
