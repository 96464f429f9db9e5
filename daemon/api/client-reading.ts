/* What goes to and comes from the methods about reading. */

/** What is read or taken away: a decision, or entries from an index on; without either, the whole ledger. */
export interface ReadingSubject {
  /** A short name of the thing that is made of it: decision, entries, evidence, tiles, ledger, proof. */
  what: string;
  decision_id?: string;
  from?: number;
  size?: number;
}

export interface DisclosureBody {
  right: 'raw' | 'export';
  subject: ReadingSubject;
  reason: string;
  /** The open break-glass session under which payload values are read. */
  breakglass?: string;
  actor?: { id: string; role?: string | null };
}

/** The read is on record: entry `index` of the ledger, whose hex SHA-256 is `entry_id`. */
export interface Disclosed {
  index: number;
  entry_id: string;
  at: string;
  right: 'raw' | 'export';
  /** How many entries it is about. */
  count: number;
}
