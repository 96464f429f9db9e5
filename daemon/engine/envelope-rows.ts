import type { Sealed } from '../host/sealer.ts';
import type { Database } from '../ledger/database.ts';

/** A data key that lies under an envelope key of before. */
export interface OldKey {
  decision: string;
  epoch: number;
  key: Uint8Array;
}

/**
 * The stored envelopes of one open ledger: values (`sealed`) and, apart, their data keys (`sealed_keys`). Unlike the
 * projections they cannot be rebuilt: they are what entries must not hold.
 */
export class EnvelopeRows {
  readonly #sql: ReturnType<typeof prepareAll>;

  constructor(database: Database) {
    this.#sql = prepareAll(database);
  }

  put(decision: string, { epoch, key, bytes }: Sealed): void {
    this.#sql.insertValue.run(decision, bytes);
    this.#sql.insertKey.run(decision, epoch, key);
  }

  /** Null when there is none, and when it is no whole one. */
  get(decision: string): Sealed | null {
    return this.#sql.get.get(decision) ?? null;
  }

  /** Whether anything of an envelope is there. */
  has(decision: string): boolean {
    return this.#sql.has.get(decision, decision) === 1;
  }

  /** `secure_delete` is on (ledger/database.ts): the freed bytes are overwritten in the database file. */
  remove(decision: string): void {
    this.#sql.deleteKey.run(decision);
    this.#sql.deleteValue.run(decision);
  }

  /** Decisions with an envelope, oldest first, behind one id and before another; ids are in the order of time. */
  page(after: string, before: string, limit: number): string[] {
    return this.#sql.page.all(after, before, limit);
  }

  /** Data keys that do not lie under the key of this epoch, behind a decision; in the order of decisions. */
  keysBefore(epoch: number, after: string, limit: number): OldKey[] {
    return this.#sql.oldKeys.all(after, epoch, limit);
  }

  replaceKey(decision: string, { epoch, key }: Pick<Sealed, 'epoch' | 'key'>): void {
    this.#sql.updateKey.run(epoch, key, decision);
  }

  count(): number {
    return this.#sql.count.get() ?? 0;
  }
}

function prepareAll(database: Database) {
  return {
    insertValue: database.prepare('INSERT INTO sealed (decision, bytes) VALUES (?, ?)'),
    insertKey: database.prepare('INSERT INTO sealed_keys (decision, epoch, bytes) VALUES (?, ?, ?)'),
    get: database.prepare<Sealed>(
      `SELECT epoch, sealed_keys.bytes AS key, sealed.bytes AS bytes
      FROM sealed JOIN sealed_keys USING (decision) WHERE decision = ?`,
    ),
    has: database.prepareColumn<number>(
      `SELECT EXISTS (SELECT 1 FROM sealed WHERE decision = ?)
      OR EXISTS (SELECT 1 FROM sealed_keys WHERE decision = ?)`,
    ),
    deleteValue: database.prepare('DELETE FROM sealed WHERE decision = ?'),
    deleteKey: database.prepare('DELETE FROM sealed_keys WHERE decision = ?'),
    page: database.prepareColumn<string>(
      'SELECT decision FROM sealed WHERE decision > ? AND decision < ? ORDER BY decision LIMIT ?',
    ),
    oldKeys: database.prepare<OldKey>(
      `SELECT decision, epoch, bytes AS key FROM sealed_keys
      WHERE decision > ? AND epoch <> ? ORDER BY decision LIMIT ?`,
    ),
    updateKey: database.prepare('UPDATE sealed_keys SET epoch = ?, bytes = ? WHERE decision = ?'),
    count: database.prepareColumn<number>('SELECT count(*) FROM sealed'),
  };
}
