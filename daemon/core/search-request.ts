import { BoundaryError } from '../formats/boundary-error.ts';
import { QUERY_MAX_WORDS, type SearchQuery, wordsOf } from './search.ts';

/** What a search is asked for, as texts: of a URL's query, or of a command line. */
export interface SearchParameters {
  q?: string;
  type?: string;
  stream?: string;
  about?: string;
  actor?: string;
  class?: string;
  target?: string;
  environment?: string;
  result?: string;
  /** RFC 3339 in UTC. */
  since?: string;
  until?: string;
}

/** The query that is meant. Throws `BoundaryError` `search.malformed` (with `at`). */
export function parseSearch({ q, since, until, ...same }: SearchParameters): SearchQuery {
  const words = [...new Set(wordsOf(q ?? ''))];
  if (q !== undefined && q.trim() !== '' && words.length === 0) {
    throw malformed('q', 'holds no word: words are letters and digits');
  }
  if (words.length > QUERY_MAX_WORDS) throw malformed('q', `has more than ${QUERY_MAX_WORDS} words`);
  const query: SearchQuery = { words, ...same };
  if (since !== undefined) query.since = instantOf('since', since);
  if (until !== undefined) query.until = instantOf('until', until);
  return query;
}

function instantOf(name: string, text: string): number {
  const ms = Date.parse(text);
  if (/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$/.test(text) && !Number.isNaN(ms)) return ms;
  throw malformed(name, 'is no instant in UTC such as 2026-11-21T08:00:00Z');
}

/** Cursor of the page behind an index: it says the order too, so that no page continues in another one. */
export function formatCursor(index: number, newestFirst: boolean): string {
  return `${newestFirst ? 'n' : 'o'}${index}`;
}

/** The index that a cursor names. Throws `BoundaryError` `search.malformed`. */
export function parseCursor(text: string, newestFirst: boolean): number {
  const [, order, index] = /^([no])(0|[1-9][0-9]{0,14})$/.exec(text) ?? [];
  if (order === (newestFirst ? 'n' : 'o') && index !== undefined) return Number(index);
  throw malformed('after', 'is no cursor of a page in this order: use `next` of the page before, as it is');
}

function malformed(name: string, what: string): BoundaryError {
  return new BoundaryError('search.malformed', `${name} ${what}. Nothing was searched.`, { at: name });
}
