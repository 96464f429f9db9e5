import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Sealer } from '../host/sealer.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Projections } from './projections.ts';

/** How many data keys get a new wrapping in one turn: some 20 ms, once a second, between batches. */
const TURN = 1_000;

/** What the ledger says about the envelope key: the one for new values, and whether older ones are still in use. */
export interface RecordedRotation {
  epoch: number;
  /** Null while every data key lies under the current one. */
  since: string | null;
}

/** Id of the standing row of the envelope key's rotation. */
const ENVELOPE_KEY = 'envelope';

/** What the newest `key.rotated` about the envelope key says; epoch 0 where there is none. */
function recordedRotation(
  projections: Pick<Projections, 'standing'>,
  ledger: Pick<Ledger, 'entry'>,
): RecordedRotation {
  const row = projections.standing('rotation', ENVELOPE_KEY);
  const bytes = row === null ? null : ledger.entry(row.last_idx);
  if (row === null || bytes === null) return { epoch: 0, since: null };
  const { at, data } = decodeEntry(bytes);
  return { epoch: Number(data.to), since: row.state === 'closed' ? null : at };
}

/**
 * What has to be done about envelopes between batches: give data keys the new wrapping after a rotation, destroy the
 * envelope keys that nothing lies under any more, and take what was shredded out of the write-ahead log. One per open
 * ledger. It remembers nothing that a crash could take: what is left to do is read from the ledger and the rows.
 */
export class EnvelopeKeeper {
  readonly #ledger: Ledger;
  readonly #projections: Projections;
  readonly #sealer: Sealer;
  #rotation: RecordedRotation;
  /** Behind which decision the next turn goes on. */
  #cursor = '';
  #logHoldsShredded = false;
  /** Data keys that nothing here opens: damaged, or their envelope key is gone. */
  #lost = 0;

  constructor(ledger: Ledger, projections: Projections, sealer: Sealer) {
    this.#ledger = ledger;
    this.#projections = projections;
    this.#sealer = sealer;
    this.#rotation = recordedRotation(projections, ledger);
    if (this.keyAtHand) sealer.use(this.#rotation.epoch);
  }

  /** The rotation that is under way or was the last. */
  get rotation(): RecordedRotation {
    return this.#rotation;
  }

  /** Whether the envelope key that the ledger names is among the key files. */
  get keyAtHand(): boolean {
    return this.#sealer.epochs.includes(this.#rotation.epoch);
  }

  /** How many data keys cannot be opened, as far as it was noticed. */
  get lost(): number {
    return this.#lost;
  }

  /** A rotation was recorded in the batch that is open: new values get the new key from now on. */
  begun(epoch: number, since: string): void {
    this.#rotation = { epoch, since };
    this.#cursor = '';
    this.#lost = 0;
    this.#sealer.use(epoch);
  }

  finished(): void {
    this.#rotation = { epoch: this.#rotation.epoch, since: null };
  }

  /** Envelopes were shredded in the batch that is open: the log still holds what was deleted. */
  shredded(): void {
    this.#logHoldsShredded = true;
  }

  /**
   * One turn, outside any batch. True when the rotation is done and its old keys are destroyed: then the end is to be
   * recorded. Throws the storage's own errors.
   */
  tend(): boolean {
    if (this.#logHoldsShredded) this.#logHoldsShredded = !this.#emptyLog();
    const { epoch, since } = this.#rotation;
    // Without the new key nothing may be taken from under the old ones.
    if (since === null || !this.keyAtHand) return false;
    if (!this.#rewrapSome(epoch)) return false;
    this.#sealer.retireBefore(epoch);
    return true;
  }

  /** True when every data key that can be opened lies under the current envelope key. */
  #rewrapSome(epoch: number): boolean {
    const { envelopes } = this.#projections;
    const old = envelopes.keysBefore(epoch, this.#cursor, TURN);
    if (old.length === 0) return true;
    const { database } = this.#ledger;
    database.begin();
    try {
      for (const { decision, ...key } of old) {
        const next = this.#rewrapped(decision, key);
        if (next === null) this.#lost += 1;
        else envelopes.replaceKey(decision, next);
      }
      database.commit();
    } catch (error) {
      database.rollback();
      throw error;
    }
    this.#cursor = old.at(-1)?.decision ?? this.#cursor;
    return false;
  }

  #rewrapped(
    decision: string,
    key: { epoch: number; key: Uint8Array },
  ): { epoch: number; key: Uint8Array } | null {
    try {
      return this.#sealer.rewrap(key, decision);
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }

  /** Moves the log into the file and cuts it to nothing; false while a reader still needs it. */
  #emptyLog(): boolean {
    const { database } = this.#ledger;
    const wait = Number(database.pragma('busy_timeout'));
    // A long reader must not hold up decisions: the next turn tries again.
    database.pragma('busy_timeout = 0');
    try {
      return database.pragma('wal_checkpoint(TRUNCATE)') === 0;
    } finally {
      database.pragma(`busy_timeout = ${wait}`);
    }
  }
}
