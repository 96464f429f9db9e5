import { BoundaryError } from '../formats/boundary-error.ts';
import { formatCheckpoint } from '../formats/checkpoint.ts';
import { ENTRY_MAX_BYTES, entryHash } from '../formats/entry.ts';
import { leafHash } from '../formats/merkle.ts';
import { signNote } from '../formats/signed-note.ts';
import { type Database, isStorageError } from './database.ts';
import type { Ledger, NoteSigner, StoredEntry, StreamHead } from './ledger.ts';
import { TILE_LEVEL_STEP } from './schema.ts';
import type { MerkleTree, TileStore } from './tree.ts';

/** What a batch has done so far; each step is possible in one phase only. */
type Phase = 'idle' | 'open' | 'sealed' | 'failed';

interface StreamRow {
  stream: string;
  seq: number;
  last_idx: number;
}

/** What a crash left in the write-ahead log and SQLite dropped. */
export interface Recovery {
  droppedFrames: number;
  detail: string;
}

/** The one writer of a ledger file. Made by `createLedger` and `openLedger`, which check what it is made from. */
export class LedgerWriter implements Ledger {
  readonly origin: string;
  readonly database: Database;
  /** Null after an orderly stop. */
  readonly recovered: Recovery | null;
  readonly #tree: MerkleTree;
  readonly #signer: NoteSigner;
  readonly #sql: ReturnType<typeof prepareAll>;
  #phase: Phase = 'idle';
  /** Committed entries and their checkpoint. */
  #size: number;
  #note: string | null;
  /** The checkpoint made by `seal`, not yet committed. */
  #sealed: string | null = null;
  /** The stream row read last, so that `append` after `streamHead` does not read it again. */
  #looked: { stream: string; row: StreamRow | undefined } | null = null;

  constructor(parts: {
    origin: string;
    database: Database;
    tree: MerkleTree;
    signer: NoteSigner;
    note: string | null;
    recovered: Recovery | null;
  }) {
    this.origin = parts.origin;
    this.database = parts.database;
    this.#tree = parts.tree;
    this.#signer = parts.signer;
    this.#note = parts.note;
    this.recovered = parts.recovered;
    this.#size = parts.tree.size;
    this.#sql = prepareAll(parts.database);
  }

  get size(): number {
    return this.#size;
  }

  begin(): void {
    this.#expect('idle');
    this.database.begin();
    this.#tree.mark();
    this.#looked = null;
    this.#phase = 'open';
  }

  streamHead(stream: string): StreamHead {
    const row = this.#streamRow(stream);
    if (row === undefined) return { seq: 0, prev: null, last: null };
    const bytes = this.entry(row.last_idx);
    if (bytes === null) throw new Error(`stream ${stream} names entry ${row.last_idx}, which does not exist`);
    return { seq: row.seq + 1, prev: entryHash(bytes), last: row.last_idx };
  }

  append(stream: string, bytes: Uint8Array): number {
    this.#expect('open');
    if (bytes.length > ENTRY_MAX_BYTES) {
      throw new BoundaryError(
        'entry.too_large',
        `An entry of ${bytes.length} bytes was not recorded; at most ${ENTRY_MAX_BYTES} fit. Log large content by its digest.`,
      );
    }
    const row = this.#streamRow(stream);
    const index = this.#tree.size;
    this.#looked = null;
    this.#sql.insertEntry.run(index, row?.last_idx ?? null, bytes);
    if (row === undefined) this.#sql.insertStream.run(stream, 0, index);
    else this.#sql.updateStream.run(row.seq + 1, index, stream);
    this.#tree.append(leafHash(bytes));
    return index;
  }

  seal(): string {
    this.#expect('open');
    const size = this.#tree.size;
    if (size === this.#size) {
      if (this.#note === null) throw new Error('seal: an empty ledger has no checkpoint');
      this.#sealed = this.#note;
    } else {
      const text = formatCheckpoint({ origin: this.origin, size, root: this.#tree.root() });
      this.#sealed = signNote(text, [this.#signer]);
      this.#sql.insertCheckpoint.run(size, this.#sealed);
    }
    this.#phase = 'sealed';
    return this.#sealed;
  }

  commit(): void {
    if (this.#phase !== 'sealed' && this.#tree.size !== this.#size) this.#expect('sealed');
    if (this.#phase === 'idle') this.#expect('open');
    this.database.commit();
    // Point of no return: the batch is on disk under its checkpoint. Only now may anyone hear of either.
    this.#size = this.#tree.size;
    this.#note = this.#sealed ?? this.#note;
    this.#sealed = null;
    this.#phase = 'idle';
  }

  rollback(): void {
    if (this.#phase === 'idle') return;
    this.#phase = 'failed';
    this.database.rollback();
    this.#tree.rollback();
    this.#sealed = null;
    this.#looked = null;
    this.#phase = 'idle';
    // A failed commit may have left frames behind the log's end that a verifier would have to call a torn tail.
    this.#moveLog('TRUNCATE');
  }

  settle(): void {
    this.#expect('idle');
    this.#moveLog('PASSIVE');
  }

  checkpoint(): string | null {
    return this.#note;
  }

  inclusionProof(index: number, size?: number): Uint8Array[] {
    return this.#tree.inclusionProof(index, size ?? this.#provable());
  }

  consistencyProof(from: number, to?: number): Uint8Array[] {
    return this.#tree.consistencyProof(from, to ?? this.#provable());
  }

  entry(index: number): Uint8Array | null {
    return this.#sql.entry.get(index) ?? null;
  }

  entries(from: number, limit: number): StoredEntry[] {
    return this.#sql.entries.all(from, limit);
  }

  stream(stream: string): StoredEntry[] {
    const chain: StoredEntry[] = [];
    let next = this.#sql.stream.get(stream)?.last_idx ?? null;
    while (next !== null) {
      const row = this.#sql.link.get(next);
      if (row === undefined) throw new Error(`stream ${stream} names entry ${next}, which does not exist`);
      chain.push({ index: next, bytes: row.bytes });
      next = row.prev_idx;
    }
    return chain.reverse();
  }

  tile(level: number, n: number, width: number): Uint8Array | null {
    return this.#tree.tile(level, n, width);
  }

  close(): void {
    if (this.#phase !== 'idle') this.rollback();
    this.database.close();
  }

  /** Inside a batch proofs are over the tree with the batch in it; they must not leave before `commit`. */
  #provable(): number {
    return this.#phase === 'sealed' ? this.#tree.size : this.#size;
  }

  #moveLog(how: 'PASSIVE' | 'TRUNCATE'): void {
    try {
      this.database.pragma(`wal_checkpoint(${how})`);
    } catch (error) {
      // Full or failing disk: the log stays as it is and the next call tries again. Nothing is lost by waiting.
      if (!isStorageError(error)) throw error;
    }
  }

  #streamRow(stream: string): StreamRow | undefined {
    if (this.#looked?.stream !== stream) this.#looked = { stream, row: this.#sql.stream.get(stream) };
    return this.#looked.row;
  }

  #expect(phase: Phase): void {
    if (this.#phase !== phase) throw new Error(`ledger: the batch is ${this.#phase}, not ${phase}`);
  }
}

function prepareAll(database: Database) {
  return {
    insertEntry: database.prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, ?, ?)'),
    insertStream: database.prepare('INSERT INTO streams (stream, seq, last_idx) VALUES (?, ?, ?)'),
    updateStream: database.prepare('UPDATE streams SET seq = ?, last_idx = ? WHERE stream = ?'),
    insertCheckpoint: database.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?)'),
    stream: database.prepare<StreamRow>('SELECT stream, seq, last_idx FROM streams WHERE stream = ?'),
    entry: database.prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx = ?'),
    entries: database.prepare<StoredEntry>(
      'SELECT idx AS "index", bytes FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
    ),
    link: database.prepare<{ prev_idx: number | null; bytes: Uint8Array }>(
      'SELECT prev_idx, bytes FROM entries WHERE idx = ?',
    ),
  };
}

/** Full tiles in the ledger's own database, so that they are committed with the entries that complete them. */
export function databaseTiles(database: Database): TileStore {
  const read = database.prepareColumn<Uint8Array>('SELECT hashes FROM tiles WHERE id = ?');
  const write = database.prepare('INSERT INTO tiles (id, hashes) VALUES (?, ?)');
  return {
    read(level, n) {
      const hashes = read.get(level * TILE_LEVEL_STEP + n);
      if (hashes === undefined)
        throw new BoundaryError('ledger.tile_missing', `Tile ${level}/${n} is missing.`);
      return hashes;
    },
    write: (level, n, hashes) => {
      write.run(level * TILE_LEVEL_STEP + n, hashes);
    },
  };
}
