import { BoundaryError } from '../formats/boundary-error.ts';
import { formatCheckpoint } from '../formats/checkpoint.ts';
import { ENTRY_MAX_BYTES, entryHash } from '../formats/entry.ts';
import { leafHash } from '../formats/merkle.ts';
import { signNote } from '../formats/signed-note.ts';
import { clearSegment } from './clear.ts';
import { type Database, isStorageError } from './database.ts';
import type { Ledger, NoteSigner, StreamHead } from './ledger.ts';
import { type LedgerParts, LedgerReader, type StreamRow } from './read.ts';

/** What a batch has done so far; each step is possible in one phase only. */
type Phase = 'idle' | 'open' | 'sealed' | 'committing';

/** What a crash left in the write-ahead log and SQLite dropped. */
export interface Recovery {
  droppedFrames: number;
  detail: string;
}

/** The one writer of a ledger file. Made by `createLedger` and `openLedger`, which check what it is made from. */
export class LedgerWriter extends LedgerReader implements Ledger {
  /** Null after an orderly stop. */
  readonly recovered: Recovery | null;
  #signer: NoteSigner;
  /** The key from this batch on, which both sign; null outside a change of keys. */
  #nextSigner: NoteSigner | null = null;
  readonly #sql: ReturnType<typeof prepareWrites>;
  #phase: Phase = 'idle';
  /** The checkpoint made by `seal`, not yet committed. */
  #sealed: string | null = null;
  /** The stream row read last, so that `append` after `streamHead` does not read it again. */
  #looked: { stream: string; row: StreamRow | undefined } | null = null;

  constructor(parts: LedgerParts & { signer: NoteSigner; recovered: Recovery | null }) {
    super(parts);
    this.#signer = parts.signer;
    this.recovered = parts.recovered;
    this.#sql = prepareWrites(parts.database);
  }

  begin(): void {
    this.#expect('idle');
    this.database.begin();
    this.tree.mark();
    this.#looked = null;
    this.#phase = 'open';
  }

  streamHead(stream: string): StreamHead {
    const row = this.#look(stream);
    if (row === undefined) return { seq: 0, prev: null, last: null };
    const bytes = this.entry(row.last_idx);
    if (bytes === null) throw new Error(`stream ${stream} names entry ${row.last_idx}, which does not exist`);
    return { seq: row.seq + 1, prev: entryHash(bytes), last: row.last_idx };
  }

  append(stream: string, bytes: Uint8Array): number {
    const row = this.#look(stream);
    if (row === undefined) return this.appendFirst(stream, bytes);
    const index = this.#insert(bytes, row.last_idx);
    this.#sql.updateStream.run(row.seq + 1, index, stream);
    return index;
  }

  appendFirst(stream: string, bytes: Uint8Array): number {
    const index = this.#insert(bytes, null);
    this.#sql.insertStream.run(stream, index);
    return index;
  }

  #insert(bytes: Uint8Array, previous: number | null): number {
    this.#expect('open');
    if (bytes.length > ENTRY_MAX_BYTES) {
      throw new BoundaryError(
        'entry.too_large',
        `An entry of ${bytes.length} bytes was not recorded; at most ${ENTRY_MAX_BYTES} fit. Log large content by its digest.`,
      );
    }
    const index = this.tree.size;
    this.#looked = null;
    this.#sql.insertEntry.run(index, previous, bytes);
    this.tree.append(leafHash(bytes));
    return index;
  }

  changeKey(next: NoteSigner): void {
    this.#expect('open');
    if (next.name !== this.origin)
      throw new Error(`ledger: a key named ${next.name} cannot sign for ${this.origin}`);
    this.#nextSigner = next;
  }

  seal(): string {
    this.#expect('open');
    this.#sealed = this.tree.size === this.size ? this.committed.note : this.#signHead();
    if (this.#sealed === null) throw new Error('ledger: an empty tree has no checkpoint');
    this.#phase = 'sealed';
    return this.#sealed;
  }

  commit(): void {
    this.#expect('sealed');
    this.#phase = 'committing';
    this.database.commit();
    // Point of no return: the batch is on disk under its checkpoint. Only now may anyone hear of either.
    this.committed = { size: this.tree.size, note: this.#sealed };
    if (this.#nextSigner !== null) this.#signer = this.#nextSigner;
    this.#nextSigner = null;
    this.#phase = 'idle';
  }

  rollback(): void {
    if (this.#phase === 'idle') return;
    const committing = this.#phase === 'committing';
    this.database.rollback();
    this.tree.rollback();
    this.#looked = null;
    this.#nextSigner = null;
    this.#phase = 'idle';
    // What a failed commit wrote lies behind the log's end, where a verifier would have to call it a torn tail.
    if (committing) this.#moveLog('TRUNCATE');
  }

  clear(first: number, limit: number): number {
    this.#expect('idle');
    return clearSegment(this.database, this.archive, first, limit);
  }

  settle(): void {
    this.#expect('idle');
    this.#moveLog('PASSIVE');
  }

  override close(): void {
    this.rollback();
    super.close();
  }

  /** Inside a sealed batch proofs are over the tree with the batch in it; they must not leave before `commit`. */
  protected override provableSize(): number {
    return this.#phase === 'sealed' ? this.tree.size : this.size;
  }

  #signHead(): string {
    const size = this.tree.size;
    const text = formatCheckpoint({ origin: this.origin, size, root: this.tree.root() });
    const signers = this.#nextSigner === null ? [this.#signer] : [this.#signer, this.#nextSigner];
    const note = signNote(text, signers);
    this.#sql.insertCheckpoint.run(size, note);
    return note;
  }

  #moveLog(how: 'PASSIVE' | 'TRUNCATE'): void {
    try {
      this.database.pragma(`wal_checkpoint(${how})`);
    } catch (error) {
      // Full or failing disk: the log stays as it is and the next call tries again. Nothing is lost by waiting.
      if (!isStorageError(error)) throw error;
    }
  }

  #look(stream: string): StreamRow | undefined {
    if (this.#looked?.stream !== stream) this.#looked = { stream, row: this.streamRow(stream) };
    return this.#looked.row;
  }

  #expect(phase: Phase): void {
    if (this.#phase !== phase) throw new Error(`ledger: the batch is ${this.#phase}, not ${phase}`);
  }
}

function prepareWrites(database: Database) {
  return {
    insertEntry: database.prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, ?, ?)'),
    insertStream: database.prepare('INSERT INTO streams (stream, seq, last_idx) VALUES (?, 0, ?)'),
    updateStream: database.prepare('UPDATE streams SET seq = ?, last_idx = ? WHERE stream = ?'),
    insertCheckpoint: database.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?)'),
  };
}
