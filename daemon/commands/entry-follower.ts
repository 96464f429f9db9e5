import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, ApiProblem, ApiUnreachable, clientTlsFor, type SearchHit } from '../api/client.ts';
import { type FollowedEntry, followEntries } from '../api/client-stream.ts';
import {
  fieldsOf,
  hasOrigin,
  hitOf,
  matchesQuery,
  originOf,
  type SearchOrigin,
  type SearchQuery,
} from '../core/search.ts';
import type { Entry } from '../formats/entry.ts';
import { connect, type Site } from './access.ts';
import { commandIdentity } from './command-identity.ts';

/** What a follower is told while it follows. */
export interface Following {
  /** An entry that matches, in ledger order, none twice and none left out. */
  shows: (hit: SearchHit) => void;
  /** The daemon went away (`false`), or is there again. */
  linked: (linked: boolean) => void;
}

const RETRY_MS = 1_000;

/**
 * Follows the ledger from an index on until `signal` aborts, over restarts of the daemon. Returns the index to go on
 * with. Throws what does not pass by itself, such as a certificate that is refused.
 */
export async function followSearch(
  site: Site,
  query: SearchQuery,
  from: number,
  { shows, linked }: Following,
  signal: AbortSignal,
): Promise<number> {
  const tail = new Tail(site, query);
  let next = from;
  let away = false;
  try {
    while (!signal.aborted) {
      try {
        for await (const { index, entry } of tail.open(next, signal)) {
          if (away) linked(true);
          away = false;
          const hit = await tail.match(index, entry);
          if (hit !== null) shows(hit);
          next = index + 1;
        }
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (!away) linked(false);
        away = true;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  } finally {
    tail.close();
  }
  return next;
}

/** A daemon that is away, or just starting or stopping. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ApiProblem) return error.status === 503;
  return error instanceof ApiUnreachable && error.reason !== 'forbidden' && error.reason !== 'untrusted';
}

class Tail {
  readonly #site: Site;
  readonly #query: SearchQuery;
  readonly #client: ApiClient;
  readonly #origins = new Map<string, SearchOrigin>();

  constructor(site: Site, query: SearchQuery) {
    this.#site = site;
    this.#query = query;
    this.#client = connect(site, 'operator');
  }

  open(from: number, signal: AbortSignal): AsyncGenerator<FollowedEntry> {
    const { paths, config } = this.#site;
    const { type, stream } = this.#query;
    const identity = () => clientTlsFor(config.site, 'operator', commandIdentity(paths, config.peers));
    return followEntries({
      socketPath: join(paths.run, 'operator.sock'),
      tls: config.peers.tls ? identity() : null,
      from,
      ...(type === undefined ? {} : { kinds: [type] }),
      ...(stream === undefined ? {} : { stream }),
      signal,
    });
  }

  /** The entry as search would show it; null when it is not what is looked for. */
  async match(index: number, entry: Entry): Promise<SearchHit | null> {
    const origin = await this.#originOf(entry);
    return matchesQuery(this.#query, fieldsOf(entry, origin)) ? hitOf(index, entry, origin) : null;
  }

  close(): void {
    this.#client.close();
  }

  /** What the first entry of a decision said; asked for where it came before the tail began. */
  async #originOf(entry: Entry): Promise<SearchOrigin> {
    const { stream, seq } = entry;
    if (!hasOrigin(stream)) return originOf(entry);
    const known = this.#origins.get(stream);
    if (known !== undefined) return known;
    const origin = seq === 0 ? originOf(entry) : await this.#askFor(stream);
    if (this.#origins.size >= ORIGINS_MAX) this.#origins.clear();
    this.#origins.set(stream, origin);
    return origin;
  }

  async #askFor(stream: string): Promise<SearchOrigin> {
    const { entries } = await this.#client.search({ stream, order: 'oldest', limit: 1 });
    const [first] = entries;
    return {
      actor: first?.actor.id ?? null,
      class: first?.class ?? null,
      target: first?.target ?? null,
      environment: first?.environment ?? null,
    };
  }
}

const ORIGINS_MAX = 10_000;
