import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  fieldsOf,
  hasOrigin,
  matchesQuery,
  originOf,
  type SearchOrigin,
  type SearchQuery,
  wordsOf,
} from '../../../daemon/core/search.ts';
import { Searcher, type SearchPage } from '../../../daemon/engine/search/searcher.ts';
import { BoundaryError } from '../../../daemon/formats/boundary-error.ts';
import { type Entry, encodeEntry } from '../../../daemon/formats/entry.ts';
import type { JsonObject } from '../../../daemon/formats/json.ts';

const CLASSES = ['restart_service', 'read_telemetry'];
const TARGETS = ['relay-2', 'pump', 'größe-1'];
const ACTORS = ['agent:ops-1', 'alice', null];
const TEXTS = ['recover the telemetry relay', 'Größe prüfen!', 'relay RELAY', 'x', '東京 の 弁', ''];
const START = Date.parse('2031-03-01T12:00:00.000Z');

interface Drawn {
  kind: 'first' | 'later' | 'system';
  pick: number;
  text: string;
  at: number;
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  kind: fc.constantFrom('first', 'first', 'later', 'later', 'later', 'system'),
  pick: fc.nat(59),
  text: fc.constantFrom(...TEXTS),
  // A clock that is set back now and then.
  at: fc.integer({ min: -90_000, max: 100_000 }),
});

const queries: fc.Arbitrary<SearchQuery> = fc.record(
  {
    words: fc.constantFrom([], ['relay'], ['relay', 'telemetry'], ['größe'], ['東京'], ['nowhere']),
    type: fc.constantFrom('decision.pending_authority', 'approval.added', 'system.started'),
    about: fc.constantFrom('dec_0', 'dec_3', 'system'),
    actor: fc.constantFrom('agent:ops-1', 'alice', 'nobody'),
    class: fc.constantFrom(...CLASSES, 'none'),
    target: fc.constantFrom('service:relay-2', 'service:größe-1'),
    result: fc.constantFrom('pending_authority', 'authorized', 'approve'),
    environment: fc.constantFrom('production', 'staging'),
    since: fc.integer({ min: -50_000, max: 3_000_000 }).map((ms) => START + ms),
    until: fc.integer({ min: -50_000, max: 3_000_000 }).map((ms) => START + ms),
  },
  { requiredKeys: ['words'] },
);

/** Entries as a ledger would hold them, in streams that begin with a first entry. */
function history(all: readonly Drawn[]): Entry[] {
  const streams: { id: string; seq: number }[] = [];
  return all.map(({ kind, pick, text, at }, index) => {
    const fresh = kind === 'first' || (kind === 'later' && streams.length === 0);
    const system = { id: 'system', seq: index };
    if (fresh) streams.push({ id: `dec_${index}`, seq: 0 });
    const open = fresh ? streams.at(-1) : streams[pick % Math.max(1, streams.length)];
    const stream = kind === 'system' || open === undefined ? system : open;
    const entry: Entry = {
      v: 1,
      site: 'outpost-7.example',
      type: stream === system ? 'system.started' : fresh ? 'decision.pending_authority' : 'approval.added',
      at: new Date(START + index * 60_000 + at).toISOString(),
      time_trust: 'floor',
      stream: stream.id,
      seq: stream.seq,
      prev: stream.seq === 0 ? null : '0'.repeat(64),
      actor: { id: ACTORS[pick % ACTORS.length] ?? null, role: null },
      data: stream === system ? {} : fresh ? firstData(pick, text) : laterData(pick, text),
    };
    stream.seq += 1;
    return entry;
  });
}

const firstData = (pick: number, text: string): JsonObject => ({
  transitions: ['evaluated', 'pending_authority'],
  action: {
    class: CLASSES[pick % 2] ?? null,
    intent: text,
    target: { type: 'service', id: TARGETS[pick % 3] ?? '' },
    payload: { word: 'nowhere' },
  },
  context: { environment: pick % 5 === 0 ? 'staging' : 'production' },
});
const laterData = (pick: number, text: string): JsonObject => ({
  transitions: pick % 4 === 0 ? ['authorized'] : [],
  answer: 'approve',
  reason: text,
  linked_to: `dec_${pick % 5}`,
});

function naive(entries: readonly Entry[], query: SearchQuery): number[] {
  const origins = new Map<string, SearchOrigin>();
  return entries.flatMap((entry, index) => {
    if (entry.seq === 0) origins.set(entry.stream, originOf(entry));
    const origin = hasOrigin(entry.stream) ? origins.get(entry.stream) : undefined;
    return matchesQuery(query, fieldsOf(entry, origin)) ? [index] : [];
  });
}

class Ledger {
  readonly origin = 'outpost-7.example/ledger';
  readonly rows: Uint8Array[] = [];
  size = () => this.rows.length;
  entries = (from: number, limit: number) =>
    this.rows.slice(from, from + limit).map((bytes, at) => ({ index: from + at, bytes }));
  append(entries: readonly Entry[]): void {
    for (const entry of entries) this.rows.push(encodeEntry(entry));
  }
}

function everyPage(searcher: Searcher, query: SearchQuery, page: Omit<SearchPage, 'after'>): number[] {
  const found: number[] = [];
  for (let after: number | null = null; ; ) {
    const { hits, next } = searcher.search(query, { ...page, after });
    expect(hits.length).toBeLessThanOrEqual(page.limit);
    found.push(...hits.map(({ index }) => index));
    if (next === null) return found;
    after = next;
  }
}

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-search-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('searching', () => {
  it('finds exactly what a look at every entry finds, in pages of any size, however much is filed', () => {
    let run = 0;
    fc.assert(
      fc.property(
        fc.array(drawn, { maxLength: 60 }),
        fc.nat(60),
        fc.array(queries, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        (all, filed, asked, limit, newestFirst) => {
          const entries = history(all);
          const ledger = new Ledger();
          ledger.append(entries.slice(0, filed));
          const searcher = new Searcher(ledger, join(dir, `${run++}.sqlite`));
          while (searcher.step());
          ledger.append(entries.slice(filed));
          for (const query of asked) {
            const expected = naive(entries, query);
            if (newestFirst) expected.reverse();
            expect(everyPage(searcher, query, { newestFirst, limit })).toEqual(expected);
          }
          searcher.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('goes on from a cursor as if nothing had been appended since', () => {
    const ledger = new Ledger();
    const entries = history(
      Array.from({ length: 40 }, (): Drawn => ({ kind: 'first', pick: 0, text: 'relay', at: 0 })),
    );
    ledger.append(entries.slice(0, 30));
    const searcher = new Searcher(ledger, join(dir, 'index.sqlite'));
    while (searcher.step());
    const query = { words: ['relay'] };
    const first = searcher.search(query, { newestFirst: true, limit: 10, after: null });
    ledger.append(entries.slice(30));
    while (searcher.step());
    const second = searcher.search(query, { newestFirst: true, limit: 10, after: first.next });
    expect([...first.hits, ...second.hits].map(({ index }) => index)).toEqual(
      Array.from({ length: 20 }, (_, at) => 29 - at),
    );
    searcher.close();
  });

  it('finds the newest entries while the index lacks many, and says how far it is', () => {
    const ledger = new Ledger();
    const entries = history(
      Array.from({ length: 3_100 }, (): Drawn => ({ kind: 'first', pick: 0, text: 'relay', at: 0 })),
    );
    ledger.append(entries.slice(0, 100));
    const searcher = new Searcher(ledger, join(dir, 'index.sqlite'));
    while (searcher.step());
    ledger.append(entries.slice(100));
    const query = { words: ['relay'], class: CLASSES[0] ?? '' };
    const newest = searcher.search(query, { newestFirst: true, limit: 2, after: null });
    expect(newest).toMatchObject({ hits: [{ index: 3_099 }, { index: 3_098 }], indexed: 100, size: 3_100 });
    // The pages after it go back through what is not filed, and then through what is.
    const all = everyPage(searcher, query, { newestFirst: true, limit: 500 });
    expect(all.slice(0, 1_500)).toEqual(Array.from({ length: 1_500 }, (_, at) => 3_099 - at));
    expect(all.slice(-100)).toEqual(Array.from({ length: 100 }, (_, at) => 99 - at));
    // Beginning with the oldest there would be a hole in the middle: it ends where the index does.
    expect(everyPage(searcher, query, { newestFirst: false, limit: 500 })).toHaveLength(100);
    searcher.close();
  });
});

describe('a search while the index lacks the beginning of what it reads', () => {
  it('leaves nothing behind that the index is made from', () => {
    const kinds = (kind: Drawn['kind'], count: number): Drawn[] =>
      Array.from({ length: count }, (_, pick) => ({ kind, pick, text: 'relay', at: 0 }));
    const entries = history([...kinds('first', 60), ...kinds('system', 2_500), ...kinds('later', 60)]);
    const ledger = new Ledger();
    ledger.append(entries);
    const searcher = new Searcher(ledger, join(dir, 'index.sqlite'));
    const about = { words: [], class: CLASSES[0] ?? '' };
    for (const query of [{ words: ['relay'] }, about])
      searcher.search(query, { newestFirst: true, limit: 100, after: null });
    while (searcher.step());
    expect(naive(entries, about)).toHaveLength(60);
    expect(everyPage(searcher, about, { newestFirst: false, limit: 100 })).toEqual(naive(entries, about));
    searcher.close();
  });
});

describe('the index', () => {
  const entries = history(
    Array.from(
      { length: 50 },
      (_, at): Drawn => ({ kind: 'first', pick: at, text: TEXTS[at % 6] ?? '', at: 0 }),
    ),
  );
  const path = () => join(dir, 'index.sqlite');
  const query = { words: ['relay'] };
  const open = (ledger: Ledger) => {
    const searcher = new Searcher(ledger, path());
    const begun = searcher.indexed;
    while (searcher.step());
    return { searcher, begun };
  };

  it('goes on where it stood, and begins anew when it is gone, damaged, or of another history', () => {
    const ledger = new Ledger();
    ledger.append(entries.slice(0, 30));
    const expected = naive(entries, query);
    open(ledger).searcher.close();
    ledger.append(entries.slice(30));
    const again = open(ledger);
    expect(again.begun).toBe(30);
    expect(everyPage(again.searcher, query, { newestFirst: false, limit: 5 })).toEqual(expected);
    again.searcher.close();

    const other = new Ledger();
    other.append(entries.toReversed());
    const anew = open(other);
    expect(anew.begun).toBe(0);
    expect(everyPage(anew.searcher, query, { newestFirst: false, limit: 5 })).toEqual(
      naive(entries.toReversed(), query),
    );
    anew.searcher.close();

    writeFileSync(path(), 'no database');
    expect(open(ledger).begun).toBe(0);
  });

  it('cannot make anything be found that does not match', () => {
    const ledger = new Ledger();
    ledger.append(entries);
    open(ledger).searcher.close();
    // The file stays, the ledger says something else at most places: as if somebody had forged the index.
    const forged = new Ledger();
    forged.append(entries.map((entry, at) => ({ ...entry, ...(at === 0 || at === 49 ? {} : { data: {} }) })));
    const searcher = new Searcher(forged, path());
    expect(searcher.indexed).toBe(50);
    const found = everyPage(searcher, query, { newestFirst: true, limit: 50 });
    expect(found).toEqual([0, 49].filter((at) => naive(entries, query).includes(at)).reverse());
    searcher.close();
  });

  it('says how much of what it proposes cannot be read any more', () => {
    const ledger = new Ledger();
    ledger.append(entries);
    const { searcher } = open(ledger);
    const expected = naive(entries, query);
    const gone = expected[1] ?? -1;
    const all = ledger.entries;
    ledger.entries = (from, limit) => {
      if (from <= gone && gone < from + limit) throw new BoundaryError('archive.carried', 'carried off');
      return all(from, limit);
    };
    const found = searcher.search(query, { newestFirst: false, limit: 50, after: null });
    expect(found.hits.map(({ index }) => index)).toEqual(expected.filter((index) => index !== gone));
    expect(found.unread).toBe(1);
    searcher.close();

    // A new index cannot have it, and goes on behind it.
    rmSync(path());
    const anew = open(ledger);
    expect(anew.searcher.indexed).toBe(50);
    expect(everyPage(anew.searcher, query, { newestFirst: false, limit: 50 })).toEqual(
      expected.filter((index) => index !== gone),
    );
    anew.searcher.close();
  });

  it('holds no value of a payload', () => {
    const ledger = new Ledger();
    ledger.append(entries);
    const { searcher } = open(ledger);
    expect(everyPage(searcher, { words: wordsOf('nowhere') }, { newestFirst: true, limit: 9 })).toEqual([]);
    searcher.close();
  });
});
