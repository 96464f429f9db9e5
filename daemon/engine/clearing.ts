import { BoundaryError } from '../formats/boundary-error.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Segment } from '../ledger/segments.ts';

/** Entries removed in one round, once a second: some 20 million a day, a few milliseconds each. */
const ROUND = 256;

/**
 * Removes archived entries from the ledger's table, a few at a time between batches. What is left to do is read from the
 * ledger, so a round that a crash cut off is taken up after the next start.
 */
export class Clearing {
  readonly #report: (message: string, error: unknown) => void;
  #ledger: Ledger | null = null;
  /** First indexes of segments that may have entries left in the table. */
  #left: number[] = [];
  #known = -1;

  constructor(report: (message: string, error: unknown) => void) {
    this.#report = report;
  }

  /** One round; false when there is nothing to do. Throws the database's own errors. */
  round(ledger: Ledger): boolean {
    const segments = ledger.archive.segments();
    if (ledger !== this.#ledger || segments.length !== this.#known) {
      this.#ledger = ledger;
      this.#known = segments.length;
      this.#left = unfinished(ledger, segments);
    }
    const first = this.#left[0];
    if (first === undefined) return false;
    try {
      if (ledger.clear(first, ROUND) > 0) return true;
    } catch (error) {
      // An archive file that is not true: its entries stay in the table, and nothing is lost.
      if (!(error instanceof BoundaryError)) throw error;
      this.#report('retention: archived entries were not removed from the ledger', error);
    }
    this.#left.shift();
    return this.#left.length > 0;
  }
}

/** Segments of which more is in the table than what stays. */
function unfinished({ database }: Ledger, segments: readonly Segment[]): number[] {
  const count = database.prepareColumn<number>('SELECT count(*) FROM entries WHERE idx >= ? AND idx < ?');
  return segments
    .filter(
      ({ first, until, kept, carried }) => carried === null && (count.get(first, until) ?? 0) > kept.entries,
    )
    .map(({ first }) => first);
}
