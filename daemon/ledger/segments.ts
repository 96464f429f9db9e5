import { BoundaryError } from '../formats/boundary-error.ts';
import { isHexDigest, sha256Hex } from '../formats/digest.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { isArchiveName, SEGMENT_MAX } from './archive-file.ts';
import type { Database } from './database.ts';

/*
 * What may be missing from the ledger's table of entries. Only entries of decisions ever leave it, whole segments at a
 * time, and only behind a `ledger.pruned` entry that names the segment and the archive file that holds it. Every other
 * stream stays, so what the site is governed by can always be read from the ledger alone.
 */

/** The stream that tells what was archived and carried off. */
export const RETENTION_STREAM = 'retention';
/** Streams whose entries may be archived. */
const ARCHIVABLE = 'dec_';

/** The archive file of a segment, as `ledger.pruned` names it. */
export interface SegmentFile {
  name: string;
  bytes: number;
  sha256: string;
}

/** The entries of a segment that stay in the table: how many, and SHA-256 over their indexes in decimal, one a line. */
export interface Kept {
  entries: number;
  sha256: string;
}

/** Entries `[first, until)`, which an archive file holds. */
export interface Segment {
  first: number;
  until: number;
  file: SegmentFile;
  kept: Kept;
  /** Log index of the entry that says so. */
  record: number;
  /** Set when the file may lie elsewhere: log index of the entry that says so, and where it was taken. */
  carried: { record: number; to: string } | null;
}

/** Whether an entry of this stream leaves the table when its segment is archived. */
export function isArchivable(stream: string): boolean {
  return stream.startsWith(ARCHIVABLE);
}

/** In canonical form these members end an entry, and a quote inside a name is escaped. */
const TAIL = /,"stream":"((?:[^"\\]|\\.){1,600})","time_trust":"[a-z]{1,20}","type":"[a-z._]{1,64}","v":1\}$/;

/** The stream of an entry's canonical text, without parsing it; null when it does not end as an entry does. */
export function streamOfText(text: string): string | null {
  const name = TAIL.exec(text.slice(-800))?.[1];
  return name === undefined ? null : (JSON.parse(`"${name}"`) as string);
}

/** What stays of a segment: of entries that are still in the table, those that may not leave it. */
export function keptOf(indexes: readonly number[]): Kept {
  return { entries: indexes.length, sha256: sha256Hex(indexes.map((index) => `${index}\n`).join('')) };
}

/**
 * The archived segments, in order of the log, as the entries of stream `retention` say. They are believed here: that they
 * are in the tree is for the verifier. Throws `BoundaryError` `archive.record` for one that makes no sense.
 */
export function readSegments(database: Database): Segment[] {
  const segments = new Map<number, Segment>();
  for (const { index, entry } of prunedEntries(database)) {
    if (entry.data.step === 'archived') {
      const segment = segmentOf(entry, index);
      segments.set(segment.first, segment);
    } else if (entry.data.step === 'carried') {
      const { first, to } = entry.data as { first?: unknown; to?: unknown };
      const segment = segments.get(Number(first));
      if (segment === undefined) throw badRecord(index, 'it names a segment that was never archived');
      segment.carried = { record: index, to: String(to) };
    }
  }
  return inOrder([...segments.values()]);
}

/** How many entries are under a checkpoint. A record that is not is nobody's word yet. */
export function coveredBy(database: Database): number {
  return database.prepareColumn<number>('SELECT coalesce(max(size), 0) FROM checkpoints').get() ?? 0;
}

/** Oldest first. */
function prunedEntries(database: Database): { index: number; entry: Entry }[] {
  const head = database.prepareColumn<number>('SELECT last_idx FROM streams WHERE stream = ?');
  const link = database.prepareTuple<[number | null, Uint8Array]>(
    "SELECT CAST(prev_idx AS INTEGER), coalesce(CAST(bytes AS BLOB), x'') FROM entries WHERE idx = ?",
  );
  const covered = coveredBy(database);
  const chain: { index: number; entry: Entry }[] = [];
  for (let index = head.get(RETENTION_STREAM) ?? null; index !== null; ) {
    const row = link.get(index);
    if (row === undefined) throw badRecord(index, 'it is missing');
    const [previous, bytes] = row;
    const entry = decodeEntry(bytes);
    const isRecord = entry.stream === RETENTION_STREAM && entry.type === 'ledger.pruned';
    if (isRecord && index < covered) chain.push({ index, entry });
    index = previous !== null && previous < index ? previous : null;
  }
  return chain.reverse();
}

function segmentOf({ data }: Entry, record: number): Segment {
  const { first, until, file, kept } = data as unknown as Segment;
  const bounds = [first, until].every((at) => Number.isSafeInteger(at) && at >= 0 && at % TILE_WIDTH === 0);
  // An entry can only speak of what was recorded before it.
  if (!bounds || until <= first || until - first > SEGMENT_MAX || until > record)
    throw badRecord(record, 'its bounds are no closed segment');
  if (!isHexDigest(kept?.sha256) || !Number.isSafeInteger(kept.entries) || kept.entries < 0)
    throw badRecord(record, 'it does not say what was kept');
  if (!isHexDigest(file?.sha256) || !isArchiveName(String(file.name)) || !Number.isSafeInteger(file.bytes))
    throw badRecord(record, 'it does not name an archive file');
  const { name, bytes, sha256 } = file;
  return {
    first,
    until,
    file: { name, bytes, sha256 },
    kept: { entries: kept.entries, sha256: kept.sha256 },
    record,
    carried: null,
  };
}

function inOrder(segments: Segment[]): Segment[] {
  segments.sort((a, b) => a.first - b.first);
  for (const [at, segment] of segments.entries()) {
    const before = segments[at - 1];
    if (before !== undefined && before.until > segment.first)
      throw badRecord(segment.record, `its segment overlaps with the one of entry ${before.record}`);
  }
  return segments;
}

/** The segment that holds an index; null for none. */
export function segmentAt(segments: readonly Segment[], index: number): Segment | null {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((segments[middle]?.first ?? 0) <= index) low = middle + 1;
    else high = middle;
  }
  const found = segments[low - 1];
  return found !== undefined && index < found.until ? found : null;
}

function badRecord(index: number, words: string): BoundaryError {
  return new BoundaryError(
    'archive.record',
    `Entry ${index} says what was archived, and cannot be followed: ${words}. Run ledger verify, then restore a backup.`,
    { at: `entries[${index}]` },
  );
}
