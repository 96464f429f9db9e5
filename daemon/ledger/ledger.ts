import type { Archive } from './archive.ts';
import type { Database } from './database.ts';

/** Where a stream stands: the next entry of it has `seq` and `prev`. */
export interface StreamHead {
  seq: number;
  /** Hex SHA-256 of the stream's newest entry bytes; null for a new stream. */
  prev: string | null;
  /** Log index of the stream's newest entry; null for a new stream. */
  last: number | null;
}

export interface StoredEntry {
  index: number;
  bytes: Uint8Array;
}

/** Signs checkpoint text; the private key stays behind this. */
export interface NoteSigner {
  /** Key name, equal to the origin. */
  readonly name: string;
  /** C2SP vkey of the public half. */
  readonly vkey: string;
  /** Ed25519 over the raw note text; 64 bytes. */
  sign(text: Uint8Array): Uint8Array;
}

/**
 * The ledger's write side. Knows bytes, streams and the tree, not decisions. Synchronous, one writer.
 *
 * One batch: `begin`, any number of `append`, then `seal` (extends the tree, signs one checkpoint, stores it) and
 * `commit` (the one fsync). After `commit` returned, everything of the batch is durable. If `seal` or `commit` throws,
 * the caller runs `rollback`, after which memory and file are as before `begin`; a signature made by a `seal` whose
 * commit failed must never leave the process.
 */
export interface Ledger {
  readonly origin: string;
  /** Committed entries. */
  readonly size: number;
  /** The open database, for projections that live in the same transaction. */
  readonly database: Database;

  begin(): void;
  /** Sees entries appended in this batch. */
  streamHead(stream: string): StreamHead;
  /** Appends the next entry of `stream`; returns its log index. Throws `BoundaryError` when over 65,535 bytes. */
  append(stream: string, bytes: Uint8Array): number;
  /** The same for the first entry of a stream that the caller has just named: saves looking for it. Throws if it exists. */
  appendFirst(stream: string, bytes: Uint8Array): number;
  /** In this batch another key takes over: its checkpoint is signed by both, later ones by that key alone. */
  changeKey(next: NoteSigner): void;
  /** The signed note of the tree with this batch in it. */
  seal(): string;
  commit(): void;
  rollback(): void;
  /**
   * Removes up to `limit` entries of an archived segment from the table: those whose bytes are in its archive file, by the
   * word of a committed `ledger.pruned` entry. Outside of a batch; a transaction of its own, synced on return. Returns how
   * many it removed: 0 when there are no more. A round that was cut off is taken up by the next call.
   */
  clear(first: number, limit: number): number;
  /** Moves what the write-ahead log holds into the main file. For idle moments: nothing becomes more or less durable by it. */
  settle(): void;

  /** Newest committed checkpoint (signed note); null only before the first seal. */
  checkpoint(): string | null;
  /** The committed note of the tree of exactly `size` entries; null where none was signed. */
  checkpointAt(size: number): string | null;
  /** RFC 6962 root of the first `size` entries (default: newest checkpoint). */
  root(size?: number): Uint8Array;
  /** RFC 6962 inclusion proof of `index` in the tree of `size` (default: newest checkpoint), leaf sibling first. */
  inclusionProof(index: number, size?: number): Uint8Array[];
  consistencyProof(from: number, to?: number): Uint8Array[];
  /** Null for an index outside. Throws `BoundaryError` `archive.*` for one whose archive file is not here, or not true. */
  entry(index: number): Uint8Array | null;
  entries(from: number, limit: number): StoredEntry[];
  /** What left the table, and where it is. */
  readonly archive: Archive;
  /** A stream's entries in order; with `newest`, only so many of its last ones. */
  stream(stream: string, newest?: number): StoredEntry[];
  /** Hashes of tile (level, n) cut to `width`, or null when the tree does not hold that many (C2SP tlog-tiles). */
  tile(level: number, n: number, width: number): Uint8Array | null;
  close(): void;
}
