import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { type ArchivedEntry, ArchiveFile } from './archive-file.ts';
import type { Database } from './database.ts';
import { coveredBy, RETENTION_STREAM, readSegments, type Segment, segmentAt } from './segments.ts';

/** Where a ledger's archive files lie: beside it. */
export function archiveDir(ledgerPath: string): string {
  return join(ledgerPath, '..', 'archive');
}

/** Opened files; a walk along streams goes back and forth between a few. */
const OPEN_FILES = 4;

/**
 * The entries that left the ledger's table, read from archive files. A file is believed when its digest is the one that the
 * `ledger.pruned` entry names. One database snapshot or connection; nothing is read before something is missed.
 */
export class Archive {
  readonly directory: string;
  readonly #database: Database;
  readonly #newest: () => number | null;
  readonly #open = new Map<string, ArchiveFile>();
  #segments: Segment[] = [];
  /** `retention`'s newest entry when the segments were read. */
  #readAt: number | null = null;

  constructor(database: Database, directory: string) {
    this.#database = database;
    this.directory = directory;
    const head = database.prepareColumn<number>('SELECT last_idx FROM streams WHERE stream = ?');
    this.#newest = () => head.get(RETENTION_STREAM) ?? null;
  }

  /** In order of the log. Throws `BoundaryError` `archive.record`. */
  segments(): readonly Segment[] {
    const newest = this.#newest();
    if (newest !== this.#readAt) {
      this.#segments = readSegments(this.#database);
      // A record of a batch that is not committed counts from its commit on.
      this.#readAt = newest !== null && newest < coveredBy(this.#database) ? newest : null;
      // What was carried off is not here any more.
      this.#open.clear();
    }
    return this.#segments;
  }

  segmentAt(index: number): Segment | null {
    return segmentAt(this.segments(), index);
  }

  /**
   * An entry that is not in the table; null when no segment holds that index. Throws `BoundaryError` `archive.elsewhere`
   * (its file was carried off, or is missing), `archive.altered`, `archive.malformed`, `file.*`.
   */
  entry(index: number): ArchivedEntry | null {
    const segment = this.segmentAt(index);
    return segment === null ? null : this.#file(segment).entry(index);
  }

  #file(segment: Segment): ArchiveFile {
    const { name } = segment.file;
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const file = openArchive(this.directory, segment);
    this.#open.set(name, file);
    const oldest = this.#open.size > OPEN_FILES ? this.#open.keys().next() : undefined;
    if (oldest?.done === false) this.#open.delete(oldest.value);
    return file;
  }
}

/** Opens the archive file of a segment if it is the one that was recorded. Throws as `Archive.entry` does. */
export function openArchive(directory: string, segment: Segment): ArchiveFile {
  const { name, sha256 } = segment.file;
  const path = join(directory, name);
  const file = new ArchiveFile(matching(path, readFile(path, segment), sha256));
  if (file.first !== segment.first || file.until !== segment.until)
    throw altered(path, 'it holds other entries than its name says');
  return file;
}

function readFile(path: string, { file, carried, first, until }: Segment): Uint8Array {
  try {
    return readBounded(path, file.bytes);
  } catch (cause) {
    if (cause instanceof BoundaryError && cause.code === 'file.too_large')
      throw altered(path, `it has more than the ${file.bytes} bytes that were recorded`);
    if (!(cause instanceof BoundaryError) || cause.code !== 'file.missing') throw cause;
    const where = carried === null ? 'it is missing' : `it was carried off (${carried.to})`;
    throw new BoundaryError(
      'archive.elsewhere',
      `Entries ${first} to ${until - 1} are in the archive file ${file.name}, and ${where}. They were not read. Bring the file back to ${path}; its SHA-256 is ${file.sha256}.`,
      { at: path, cause },
    );
  }
}

function matching(path: string, bytes: Uint8Array, sha256: string): Uint8Array {
  if (sha256Hex(bytes) === sha256) return bytes;
  throw altered(path, 'its SHA-256 is not the one that was recorded');
}

function altered(path: string, words: string): BoundaryError {
  return new BoundaryError(
    'archive.altered',
    `The archive file ${path} was changed: ${words}. It was not used. Bring a true copy of it; ledger verify says what is missing.`,
    { at: path },
  );
}
