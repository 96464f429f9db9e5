import { BoundaryError } from '../formats/boundary-error.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { Archive, archiveDir } from './archive.ts';
import type { ArchivedEntry } from './archive-file.ts';
import type { Database } from './database.ts';
import type { Ledger, StoredEntry } from './ledger.ts';
import { TILE_LEVEL_STEP } from './schema.ts';
import { HASH_BYTES } from './tile-nodes.ts';
import type { MerkleTree, TileStore } from './tree.ts';

/** A stream's newest entry, as the projection has it. */
export interface StreamRow {
  stream: string;
  seq: number;
  last_idx: number;
}

/** What can be read of a ledger, by its writer or from a file. */
export type LedgerView = Pick<
  Ledger,
  | 'origin'
  | 'size'
  | 'database'
  | 'checkpoint'
  | 'inclusionProof'
  | 'consistencyProof'
  | 'entry'
  | 'entries'
  | 'stream'
  | 'tile'
  | 'close'
> & { readonly archive: Archive };

export interface LedgerParts {
  origin: string;
  database: Database;
  tree: MerkleTree;
  /** Newest committed checkpoint; null in a ledger without entries. */
  note: string | null;
  /** Where archive files lie; absent: beside the ledger. */
  archive?: string;
}

/** The read side: rows of the database, proofs from the tree. */
export class LedgerReader implements LedgerView {
  readonly origin: string;
  readonly database: Database;
  /** Entries that left the table. */
  readonly archive: Archive;
  protected readonly tree: MerkleTree;
  /** Committed entries and their checkpoint. */
  protected committed: { size: number; note: string | null };
  readonly #sql: ReturnType<typeof prepareReads>;

  constructor(parts: LedgerParts) {
    this.origin = parts.origin;
    this.database = parts.database;
    this.tree = parts.tree;
    this.committed = { size: parts.tree.size, note: parts.note };
    this.archive = new Archive(parts.database, parts.archive ?? archiveDir(parts.database.path));
    this.#sql = prepareReads(parts.database);
  }

  get size(): number {
    return this.committed.size;
  }

  checkpoint(): string | null {
    return this.committed.note;
  }

  /** The signed note of the tree of exactly `size` entries; null where none was signed. */
  checkpointAt(size: number): string | null {
    return this.#sql.checkpoint.get(size) ?? null;
  }

  /** RFC 6962 root of the first `size` entries. */
  root(size = this.provableSize()): Uint8Array {
    return this.tree.root(size);
  }

  inclusionProof(index: number, size = this.provableSize()): Uint8Array[] {
    return this.tree.inclusionProof(index, size);
  }

  consistencyProof(from: number, to = this.provableSize()): Uint8Array[] {
    return this.tree.consistencyProof(from, to);
  }

  entry(index: number): Uint8Array | null {
    return this.#sql.entry.get(index) ?? this.#archived(index)?.bytes ?? null;
  }

  entries(from: number, limit: number): StoredEntry[] {
    const rows = this.#sql.entries.all(from, limit);
    const last = rows.at(-1);
    // Nothing is missing between them: the rule, without a look at the archive.
    if (last === undefined || last.index === from + rows.length - 1) return rows;
    return this.#withArchived(from, limit, rows);
  }

  #withArchived(from: number, limit: number, rows: readonly StoredEntry[]): StoredEntry[] {
    const all: StoredEntry[] = [];
    let next = 0;
    for (let index = from; all.length < limit && next < rows.length; index++) {
      const row = rows[next];
      if (row?.index === index) {
        all.push(row);
        next++;
        continue;
      }
      const bytes = this.#archived(index)?.bytes;
      if (bytes === undefined) throw new Error(`entry ${index} does not exist`);
      all.push({ index, bytes });
    }
    return all;
  }

  #archived(index: number): ArchivedEntry | null {
    return index >= 0 && index < this.tree.size ? this.archive.entry(index) : null;
  }

  stream(stream: string, newest = Number.POSITIVE_INFINITY): StoredEntry[] {
    const chain: StoredEntry[] = [];
    let next = this.streamRow(stream)?.last_idx ?? null;
    while (next !== null && chain.length < newest) {
      const row = this.#link(next);
      if (row === null) throw new Error(`stream ${stream} names entry ${next}, which does not exist`);
      chain.push({ index: next, bytes: row.bytes });
      // Always backwards, so that a damaged link cannot lead in a circle.
      if (row.previous !== null && row.previous >= next) throw new Error(`entry ${next} names a later one`);
      next = row.previous;
    }
    return chain.reverse();
  }

  #link(index: number): ArchivedEntry | null {
    return this.#sql.link.get(index) ?? this.#archived(index);
  }

  tile(level: number, n: number, width: number): Uint8Array | null {
    return this.tree.tile(level, n, width);
  }

  close(): void {
    this.database.close();
  }

  protected streamRow(stream: string): StreamRow | undefined {
    return this.#sql.stream.get(stream);
  }

  /** The tree that proofs are over unless a size is named. */
  protected provableSize(): number {
    return this.committed.size;
  }
}

function prepareReads(database: Database) {
  return {
    stream: database.prepare<StreamRow>('SELECT stream, seq, last_idx FROM streams WHERE stream = ?'),
    entry: database.prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx = ?'),
    checkpoint: database.prepareColumn<string>('SELECT note FROM checkpoints WHERE size = ?'),
    entries: database.prepare<StoredEntry>(
      'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
    ),
    link: database.prepare<ArchivedEntry>('SELECT prev_idx AS previous, bytes FROM entries WHERE idx = ?'),
  };
}

/** Full tiles in the ledger's own database, so that they are committed with the entries that complete them. */
export function databaseTiles(database: Database): TileStore {
  const read = database.prepareColumn<Uint8Array>('SELECT hashes FROM tiles WHERE id = ?');
  const write = database.prepare('INSERT INTO tiles (id, hashes) VALUES (?, ?)');
  return {
    read(level, n) {
      const hashes = read.get(level * TILE_LEVEL_STEP + n);
      if (hashes instanceof Uint8Array && hashes.length === TILE_WIDTH * HASH_BYTES) return hashes;
      throw new BoundaryError(
        'ledger.tile',
        `Tile ${level}/${n} is missing or damaged. Run ledger verify, then restore a backup.`,
      );
    },
    write: (level, n, hashes) => {
      write.run(level * TILE_LEVEL_STEP + n, hashes);
    },
  };
}
