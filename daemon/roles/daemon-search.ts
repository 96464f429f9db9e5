import { problem, problemReply } from '../api/problem.ts';
import type { Answer, HostCall, HostServices } from '../api/server.ts';
import { formatCursor, parseCursor, parseSearch, type SearchParameters } from '../core/search-request.ts';
import type { Degraded } from '../engine/health/facts.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import { type LedgerSearch, SearchUnavailable, startSearch } from '../engine/search/aside.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';

/** What the daemon does so that its ledger can be searched. */
export interface DaemonSearch {
  services: HostServices;
  status(): JsonObject | null;
  degraded(): Degraded[];
  stop(): Promise<void>;
}

const DEFAULT_LIMIT = 50;

/** Search over the ledger of `origin`. */
export function openSearch(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  origin: string,
  log: Logger,
): DaemonSearch {
  const { low_bytes } = config.disk;
  const search = startSearch({ ledger: paths.ledger, origin, index: paths.search, low_bytes }, log);
  engine.onEvents((events) => {
    const newest = events.at(-1);
    if (newest !== undefined) search.recorded(newest.index + 1);
  });
  return {
    services: { 'ledger.search': (call) => answer(search, call) },
    status: () => {
      const known = search.progress();
      return known === null ? null : { ...known, behind: Math.max(0, known.size - known.indexed) };
    },
    degraded: () => searchHealth(search),
    stop: () => search.stop(),
  };
}

async function answer(search: LedgerSearch, { args }: HostCall): Promise<Answer> {
  const { order, limit, after, ...parameters } = args;
  const newestFirst = order !== 'oldest';
  const page = {
    newestFirst,
    limit: limit === undefined ? DEFAULT_LIMIT : Number(limit),
    after: after === undefined ? null : parseCursor(after, newestFirst),
  };
  const query = parseSearch(parameters as SearchParameters);
  try {
    const { hits, next, size, indexed, unread } = await search.search(query, page);
    const cursor = next === null ? null : formatCursor(next, newestFirst);
    return { status: 200, body: JSON.stringify({ entries: hits, next: cursor, size, indexed, unread }) };
  } catch (error) {
    if (error instanceof SearchUnavailable) return problemReply(problem('unavailable', error.message));
    throw error;
  }
}

/** Nothing is decided by it, but people who look for something and do not find it must know. */
function searchHealth(search: LedgerSearch): Degraded[] {
  const known = search.progress();
  if (known === null || known.trouble === null) return [];
  return [
    {
      component: 'search',
      cause: `the search index stands still: ${known.trouble}`,
      since: known.since,
      effect: `Searches find nothing after entry ${known.indexed} of ${known.size}. Decisions do not depend on it.`,
      instruction:
        'Free space on the disk that holds the site, if it is full. Otherwise stop the daemon, delete state/search.sqlite and start it again: the index is made anew.',
    },
  ];
}
