import { BoundaryError } from '../formats/boundary-error.ts';
import { openArchive } from './archive.ts';
import type { ArchiveFile } from './archive-file.ts';
import type { Database, Statement } from './database.ts';
import { type Finding, tampered } from './finding.ts';
import { isArchivable, keptOf, readSegments, type Segment, segmentAt, streamOfText } from './segments.ts';

/** A segment whose file is not here, by the ledger's own word. */
export interface CarriedSegment {
  first: number;
  until: number;
  file: string;
  sha256: string;
  /** Where it was taken, in the words of who did. */
  to: string;
}

/** What a verification found of archived segments. */
export interface ArchiveReport {
  segments: number;
  /** Entries in them that left the table. */
  entries: number;
  /** Checked by their hashes only. */
  elsewhere: CarriedSegment[];
}

/** An entry as verification reads it. Null text: it is known by its hash alone. */
export type EntryRow = [idx: number, prevIdx: number | null, text: string | null];

/**
 * Every column is cast: in a damaged file a value may be of any type, whatever the schema says (which `quick_check` then
 * reports). The text of an entry costs half of its bytes to read; where it is not UTF-8, the hash of it will show.
 */
const ROWS = `SELECT idx, CAST(prev_idx AS INTEGER), coalesce(CAST(bytes AS TEXT), '') FROM entries
 WHERE idx >= ? AND idx < ? ORDER BY idx`;

/** Opened files; streams go back and forth between a few. */
const OPEN_FILES = 4;

/**
 * The entries of a ledger under verification, from the table or from archive files. Entries of a segment whose file is not
 * here, or not true, are dark: only their hashes are known.
 */
export class EntryRows {
  readonly segments: readonly Segment[];
  readonly #directory: string;
  readonly #rows: Statement<EntryRow>;
  readonly #bytes: Statement<Uint8Array>;
  readonly #present: Statement<number>;
  readonly #link: Statement<[previous: number | null, text: string]>;
  readonly #decoder = new TextDecoder();
  readonly #here = new Map<Segment, boolean>();
  readonly #open = new Map<Segment, ArchiveFile | null>();

  constructor(database: Database, directory: string) {
    this.segments = segmentsOf(database).segments;
    this.#directory = directory;
    this.#rows = database.prepareTuple(ROWS);
    this.#bytes = database.prepareColumn(
      "SELECT coalesce(CAST(bytes AS BLOB), x'') FROM entries WHERE idx = ?",
    );
    this.#link = database.prepareTuple('SELECT prev_idx, CAST(bytes AS TEXT) FROM entries WHERE idx = ?');
    this.#present = database.prepareColumn('SELECT 1 FROM entries WHERE idx = ?');
  }

  /** In order, up to the first one that is missing. */
  range(from: number, to: number): Iterable<EntryRow> {
    const touched = this.segments.some(({ first, until }) => first < to && until > from);
    return touched ? this.#merged(from, to) : this.#rows.iterate(from, to);
  }

  *#merged(from: number, to: number): Generator<EntryRow> {
    const rows = this.#rows.iterate(from, to);
    try {
      let row = rows.next();
      for (let index = from; index < to; index++) {
        if (row.done !== true && row.value[0] === index) {
          yield row.value;
          row = rows.next();
          continue;
        }
        const segment = segmentAt(this.segments, index);
        if (segment === null) return;
        const archived = this.#fileOf(segment)?.entry(index) ?? null;
        yield archived === null
          ? [index, null, null]
          : [index, archived.previous, this.#decoder.decode(archived.bytes)];
      }
    } finally {
      rows.return?.();
    }
  }

  /** Whether there are segments whose file is not here, or not true. */
  get anyDark(): boolean {
    return this.segments.some((segment) => !this.#isHere(segment));
  }

  /** An entry's bytes; none when it is missing or dark. */
  bytes(index: number): Uint8Array {
    const stored = this.#bytes.get(index);
    if (stored !== undefined) return stored;
    const segment = segmentAt(this.segments, index);
    return (segment === null ? null : this.#fileOf(segment)?.entry(index).bytes) ?? new Uint8Array(0);
  }

  /** An entry's text and the index of the one before it in its stream; null when it is missing or dark. */
  link(index: number): [previous: number | null, text: string] | null {
    const stored = this.#link.get(index);
    if (stored !== undefined) return stored;
    const segment = segmentAt(this.segments, index);
    const archived = segment === null ? undefined : this.#fileOf(segment)?.entry(index);
    return archived === undefined ? null : [archived.previous, this.#decoder.decode(archived.bytes)];
  }

  /** Whether only the hash of an entry is known. */
  isDark(index: number): boolean {
    if (this.segments.length === 0) return false;
    const segment = segmentAt(this.segments, index);
    return segment !== null && this.#present.get(index) === undefined && !this.#isHere(segment);
  }

  #isHere(segment: Segment): boolean {
    const here = this.#here.get(segment) ?? this.#fileOf(segment) !== null;
    this.#here.set(segment, here);
    return here;
  }

  #fileOf(segment: Segment): ArchiveFile | null {
    const known = this.#open.get(segment);
    if (known !== undefined) return known;
    const file = this.#opened(segment);
    this.#open.set(segment, file);
    const oldest = this.#open.size > OPEN_FILES ? this.#open.keys().next() : undefined;
    if (oldest?.done === false) this.#open.delete(oldest.value);
    return file;
  }

  /** Why a file cannot be used is said once, by `verifySegments`. */
  #opened(segment: Segment): ArchiveFile | null {
    try {
      return openArchive(this.#directory, segment);
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }
}

/**
 * Verifies what the ledger says of its archived segments: their entries make sense, what should have stayed has stayed, and
 * every file is there and true, unless an entry says that it was carried off.
 */
export function verifySegments(
  database: Database,
  directory: string,
): { report: ArchiveReport; findings: Finding[] } {
  const { segments, findings } = segmentsOf(database);
  const report: ArchiveReport = { segments: segments.length, entries: 0, elsewhere: [] };
  const rows = database.prepareTuple<[number, string]>(
    "SELECT idx, coalesce(CAST(bytes AS TEXT), '') FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
  );
  for (const segment of segments) {
    const { first, until, file, kept, carried } = segment;
    const present = rows.all(first, until);
    report.entries += until - first - present.length;
    const staying = present.filter(([, text]) => !isArchivable(streamOfText(text) ?? ''));
    const found = keptOf(staying.map(([index]) => index));
    if (found.entries !== kept.entries || found.sha256 !== kept.sha256) {
      const detail = `of entries ${first} to ${until - 1}, ${kept.entries} should have stayed in the ledger; these are not all there`;
      findings.push(tampered('archive', `entries[${first}…${until - 1}]`, detail, first));
    }
    const defect = fileDefect(directory, segment);
    if (defect === 'elsewhere' && carried !== null)
      report.elsewhere.push({ first, until, file: file.name, sha256: file.sha256, to: carried.to });
    else if (defect !== null)
      findings.push(tampered('archive', file.name, defect === 'elsewhere' ? LOST : defect, first));
  }
  return { report, findings };
}

const LOST = 'the file is missing, and no entry says that it was carried off; its entries are lost';

/** What is wrong with a segment's file; null when nothing is. */
function fileDefect(directory: string, segment: Segment): string | null {
  try {
    openArchive(directory, segment);
    return null;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return error.code === 'archive.elsewhere' ? 'elsewhere' : error.message;
  }
}

function segmentsOf(database: Database): { segments: Segment[]; findings: Finding[] } {
  try {
    return { segments: readSegments(database), findings: [] };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return { segments: [], findings: [tampered('archive', error.at ?? 'retention', error.message)] };
  }
}
