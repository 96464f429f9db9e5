import type { SearchHit } from '../core/search.ts';
import type { SearchParameters } from '../core/search-request.ts';

/* What goes to and comes from the methods about reading. */

export type { SearchHit, SearchParameters };

/** A search and the page of it that is wanted; `after` is `next` of the page before. */
export type SearchCall = SearchParameters & { order?: 'newest' | 'oldest'; limit?: number; after?: string };

/** A page of a search. `indexed` below `size`: the index is behind, and of later entries not all are found yet. */
export interface FoundPage {
  entries: SearchHit[];
  next: string | null;
  size: number;
  indexed: number;
  /** Entries that may match and cannot be read: their archive was carried off. */
  unread: number;
}

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
