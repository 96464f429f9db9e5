import {
  fieldsOf,
  hasOrigin,
  hitOf,
  indexTerms,
  matchesQuery,
  originOf,
  queryTerms,
  type SearchHit,
  type SearchOrigin,
  type SearchQuery,
} from '../../core/search.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { decodeEntry, type Entry, entryHash } from '../../formats/entry.ts';
import {
  type IndexedDocument,
  type IndexMark,
  type IndexRange,
  openSearchIndex,
  type SearchIndex,
} from '../../ledger/search-index.ts';

/** Where entries are read from: committed ones only, archived ones too. */
export interface SearchSource {
  origin: string;
  size(): number;
  entries(from: number, limit: number): readonly { index: number; bytes: Uint8Array }[];
}

/** Which part of what is found is wanted. `after`: the cursor of the page before, null for the first. */
export interface SearchPage {
  newestFirst: boolean;
  limit: number;
  after: number | null;
}

export interface SearchResult {
  hits: SearchHit[];
  /** Where the following page begins (an index that was looked at); null when nothing is left. */
  next: number | null;
  /** Entries of the ledger, and how many of them the index has. */
  size: number;
  indexed: number;
  /** Entries that the index proposed and that cannot be read here: their archive was carried off. */
  unread: number;
}

/** Entries filed in one step: some hundredths of a second. */
const STEP = 1_000;
/** Entries read for one page at most; a page that ends early has a cursor all the same. */
const READ_MAX = 4_000;
/** Entries tried one by one where an archive is not at hand. */
const BLIND = 256;
/** Entries that the index lacks that are read one by one. */
const REST_MAX = 2_000;
/** Proposals taken from the index at a time. */
const PROPOSED = 256;
/** Origins of decisions that are kept at hand while filing. */
const ORIGINS_MAX = 20_000;

/**
 * Search over the ledger. The index proposes, the ledger decides: every hit is read again and held against the query, so
 * a damaged or forged index can hide entries until it is rebuilt, and never invent any. Entries that are not filed yet
 * are read one by one, so that what was just recorded is found.
 */
export class Searcher {
  readonly #source: SearchSource;
  readonly #index: SearchIndex;
  readonly #origins = new Map<string, SearchOrigin>();
  /** Where the beginnings of decisions were taken up that are not filed yet. */
  #learned: Range = { from: 0, until: 0 };

  /** Opens the index at `path`, or begins a new one. */
  constructor(source: SearchSource, path: string) {
    this.#source = source;
    this.#index = openSearchIndex(path, source.origin, (mark) => this.#isOfThisHistory(mark));
  }

  get indexed(): number {
    return this.#index.mark.size;
  }

  /** Files the next entries; true when there are more. Throws SQLite's error when storage fails: nothing was filed then. */
  step(): boolean {
    const { size, first } = this.#index.mark;
    const page = this.#next(size, Math.min(STEP, this.#source.size() - size));
    if (page.length === 0) return false;
    const documents = page.map(({ index, bytes }) => this.#document(index, readEntry(bytes)));
    const hash = (at: number): string => entryHash(page.at(at)?.bytes ?? new Uint8Array());
    this.#index.file(documents, {
      origin: this.#source.origin,
      size: size + page.length,
      first: size === 0 ? hash(0) : first,
      last: hash(-1),
    });
    return size + page.length < this.#source.size();
  }

  /** The next entries without a gap; empty bytes stand for those whose archive was carried off: they cannot be found. */
  #next(from: number, limit: number): readonly { index: number; bytes: Uint8Array }[] {
    const page = limit > 0 ? this.#read(from, limit) : [];
    if (page !== null) return page.filter(({ index }, at) => index === from + at);
    return Array.from({ length: Math.min(limit, BLIND) }, (_, at) => {
      const [found] = this.#read(from + at, 1) ?? [];
      return found?.index === from + at ? found : { index: from + at, bytes: new Uint8Array() };
    });
  }

  /** Null when an archive is not at hand. */
  #read(from: number, limit: number): readonly { index: number; bytes: Uint8Array }[] | null {
    try {
      return this.#source.entries(from, limit);
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }

  /** One page of what matches. */
  search(query: SearchQuery, { newestFirst, limit, after }: SearchPage): SearchResult {
    const size = this.#source.size();
    const hits: SearchHit[] = [];
    let unread = 0;
    let left = READ_MAX;
    let at: number | null = null;
    const range = behind(after, newestFirst, size);
    for (const index of this.#candidates(query, range, newestFirst)) {
      // One more than wanted tells whether there is another page.
      if (hits.length > limit || left === 0) break;
      const entry = this.#entry(index);
      const found = entry === null ? null : this.#judge(query, index, entry);
      left -= 1;
      at = index;
      if (entry === null) unread += 1;
      if (found !== null) hits.push(found);
    }
    const shown = hits.slice(0, limit);
    const more = hits.length > limit ? (shown.at(-1)?.index ?? null) : null;
    return { hits: shown, next: left === 0 ? (more ?? at) : more, size, indexed: this.indexed, unread };
  }

  close(): void {
    this.#index.close();
  }

  /** Positions to look at, in order: of what is filed those that the index proposes, the rest one by one. */
  *#candidates(query: SearchQuery, range: Range, newestFirst: boolean): Generator<number> {
    const { indexed } = this;
    const { since = Number.MIN_SAFE_INTEGER, until = Number.MAX_SAFE_INTEGER } = query;
    const timed = query.since !== undefined || query.until !== undefined;
    const spans = timed ? this.#index.between(since, until) : { from: 0, until: indexed };
    const filed = both(range, { from: spans.from, until: Math.min(spans.until, indexed) });
    const rest = both(range, this.#learnRest(range.until, newestFirst));
    const terms = queryTerms(query);
    if (newestFirst) {
      for (let index = rest.until - 1; index >= rest.from; index--) yield index;
      yield* this.#proposed(terms, filed, true);
    } else {
      yield* this.#proposed(terms, filed, false);
      for (let index = rest.from; index < rest.until; index++) yield index;
    }
  }

  /**
   * What is not filed yet and is read one by one; takes up the decisions that begin there. While the index is far behind that
   * is the newest part of it, for whoever looks for what he just did, and nothing for those who begin with the oldest: there
   * would be a hole before it. The result says how far the index is.
   */
  #learnRest(size: number, newestFirst: boolean): Range {
    const none = { from: this.indexed, until: this.indexed };
    const far = size - this.indexed > REST_MAX;
    if (far && !newestFirst) return none;
    const rest = { from: far ? size - REST_MAX : this.indexed, until: size };
    const known = rest.from >= this.#learned.from && rest.from <= this.#learned.until;
    const from = known ? this.#learned.until : rest.from;
    if (from >= size) return rest;
    for (const { index, bytes } of this.#read(from, size - from) ?? []) {
      const entry = readEntry(bytes);
      if (entry !== null && entry.seq === 0) this.#originFor(index, entry);
    }
    this.#learned = { from: known ? this.#learned.from : rest.from, until: size };
    return rest;
  }

  *#proposed(terms: readonly string[], { from, until }: Range, newestFirst: boolean): Generator<number> {
    let [low, high] = [from, until];
    while (low < high) {
      const range = { from: low, until: high, newestFirst, limit: PROPOSED };
      const page = terms.length === 0 ? every(range) : this.#index.find(terms, range);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PROPOSED) return;
      if (newestFirst) high = last;
      else low = last + 1;
    }
  }

  /** What is shown of the entry at a position, if it is what is looked for. */
  #judge(query: SearchQuery, index: number, entry: Entry): SearchHit | null {
    const origin = this.#originFor(index, entry);
    return matchesQuery(query, fieldsOf(entry, origin)) ? hitOf(index, entry, origin) : null;
  }

  #entry(index: number): Entry | null {
    const [found] = this.#read(index, 1) ?? [];
    return found?.index === index ? readEntry(found.bytes) : null;
  }

  #document(index: number, entry: Entry | null): IndexedDocument {
    if (entry === null) return { index, at: 0, terms: [] };
    const fields = fieldsOf(entry, this.#originFor(index, entry));
    return { index, at: fields.at, terms: indexTerms(fields) };
  }

  /** What the first entry of the stream says. It is remembered: a decision's entries come close to each other. */
  #originFor(index: number, entry: Entry): SearchOrigin {
    const { stream, seq } = entry;
    if (!hasOrigin(stream)) return originOf(entry);
    const known = this.#origins.get(stream);
    if (known !== undefined && seq !== 0) return known;
    const first = seq === 0 ? entry : this.#firstOf(stream, index);
    // Where the beginning is not filed yet, what one of its entries says is for this search alone.
    if (first === null) return originOf(entry);
    const origin = originOf(first);
    if (this.#origins.size >= ORIGINS_MAX) this.#forgetHalf();
    this.#origins.set(stream, origin);
    return origin;
  }

  /** The first entry of a stream, which lies before `index`; the index knows where. */
  #firstOf(stream: string, index: number): Entry | null {
    const range = { from: 0, until: index, newestFirst: false, limit: 1 };
    const [at] = this.#index.find(queryTerms({ words: [], stream }), range);
    const entry = at === undefined ? null : this.#entry(at);
    return entry?.stream === stream && entry.seq === 0 ? entry : null;
  }

  #forgetHalf(): void {
    let left = ORIGINS_MAX / 2;
    for (const stream of this.#origins.keys()) {
      if (left-- <= 0) return;
      this.#origins.delete(stream);
    }
  }

  /** Whether the entries that an index was made from are those of the ledger: it may have been restored since. */
  #isOfThisHistory({ size, first, last }: IndexMark): boolean {
    if (size === 0) return true;
    if (size > this.#source.size()) return false;
    const fits = (index: number, digest: string): boolean => {
      const [found] = this.#read(index, 1) ?? [];
      // What was carried off says nothing against it.
      return found?.index !== index || entryHash(found.bytes) === digest;
    };
    return fits(0, first) && fits(size - 1, last);
  }
}

/** Positions `[from, until)`. */
interface Range {
  from: number;
  until: number;
}

/** What lies behind a page's cursor. */
function behind(after: number | null, newestFirst: boolean, size: number): Range {
  if (after === null) return { from: 0, until: size };
  return newestFirst ? { from: 0, until: Math.min(size, after) } : { from: after + 1, until: size };
}

function both(a: Range, b: Range): Range {
  return { from: Math.max(a.from, b.from), until: Math.min(a.until, b.until) };
}

function every({ from, until, newestFirst, limit }: IndexRange): number[] {
  const length = Math.min(limit, until - from);
  return Array.from({ length }, (_, step) => (newestFirst ? until - 1 - step : from + step));
}

/** An entry that can be read; what is damaged is the verifier's matter, and is not found. */
function readEntry(bytes: Uint8Array): Entry | null {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
