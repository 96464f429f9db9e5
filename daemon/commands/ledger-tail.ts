import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { type ApiClient, ApiProblem, ApiUnreachable, clientTlsFor, type SearchHit } from '../api/client.ts';
import { followEntries } from '../api/client-stream.ts';
import {
  fieldsOf,
  hasOrigin,
  hitOf,
  matchesQuery,
  originOf,
  type SearchOrigin,
  type SearchQuery,
} from '../core/search.ts';
import { parseSearch } from '../core/search-request.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Entry } from '../formats/entry.ts';
import { connect, openSite, parseLimit, type Site, type SiteOptions } from './access.ts';
import { commandIdentity } from './command-identity.ts';
import { assertType } from './entry-type.ts';
import { type Filters, findAll, parametersOf, withFilters } from './ledger-search.ts';
import { print, printJson, say } from './render/output.ts';
import { moment, plain } from './render/text.ts';

const HELP = `
Examples:
  holdfast ledger tail                                  the newest entries
  holdfast ledger tail -f --type permit.outcome         and those that come, until interrupted
  holdfast ledger tail -f --from 4711                   every entry from 4711 on: the exact place to go on from

-f outlives a restart of the daemon: it waits, and goes on behind the last entry that was printed, without a gap and
without printing any twice. When it ends it says where to go on. --json prints one document for each entry.`;

interface TailOptions extends SiteOptions, Filters {
  follow?: boolean;
  from?: string;
  lines: string;
}

/** `holdfast ledger tail`. */
export function tailCommand(): Command {
  return withFilters(new Command('tail'))
    .description('The newest entries, and with -f those that come.')
    .option('-f, --follow', 'go on printing entries as they are recorded')
    .option('--from <index>', 'begin with this entry instead of the newest ones')
    .option('-n, --lines <n>', 'so many of the newest entries', '20')
    .addHelpText('after', HELP)
    .action(async (options: TailOptions) => {
      assertType(options.type);
      const site = openSite(options);
      const show = shower(options);
      const next = options.from === undefined ? await newest(site, options, show) : parseFrom(options.from);
      if (options.follow === true) await follow(site, options, next, show);
      else if (options.from !== undefined) await rest(site, options, next, show);
    });
}

type Show = (hit: SearchHit) => void;

/** Prints the newest entries that match; returns the index behind the last that there is. */
async function newest(site: Site, options: TailOptions, show: Show): Promise<number> {
  const { entries, size } = await findAll(site, parametersOf([], options), parseLimit(options.lines));
  for (const hit of entries.toReversed()) if (hit.index < size) show(hit);
  return size;
}

/** Everything that matches from an index on, up to what is recorded now. */
async function rest(site: Site, options: TailOptions, from: number, show: Show): Promise<void> {
  const call = { ...parametersOf([], options), order: 'oldest' as const };
  const after = from === 0 ? {} : { after: `o${from - 1}` };
  const { entries } = await findAll(site, { ...call, ...after }, Number.POSITIVE_INFINITY);
  for (const hit of entries) show(hit);
}

const RETRY_MS = 1_000;

/** Follows the stream until it is interrupted; what comes between two connections comes with the second. */
async function follow(site: Site, options: TailOptions, from: number, show: Show): Promise<void> {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const tail = new Tail(site, options, show);
  let next = from;
  let waiting = false;
  while (!interrupted.signal.aborted) {
    try {
      for await (const { index, entry } of tail.open(next, interrupted.signal)) {
        if (waiting) say('The daemon is back.');
        waiting = false;
        await tail.take(index, entry);
        next = index + 1;
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (!waiting) say('The daemon does not answer; waiting for it.');
      waiting = true;
      await sleep(RETRY_MS, undefined, { signal: interrupted.signal }).catch(() => {});
    }
  }
  tail.close();
  say(`Go on with: holdfast ledger tail -f --from ${next}`);
}

/** A daemon that is away, or just starting or stopping. */
function isPassing(error: unknown): boolean {
  if (error instanceof ApiProblem) return error.status === 503;
  return error instanceof ApiUnreachable && error.reason !== 'forbidden' && error.reason !== 'untrusted';
}

class Tail {
  readonly #site: Site;
  readonly #query: SearchQuery;
  readonly #show: Show;
  readonly #client: ApiClient;
  readonly #origins = new Map<string, SearchOrigin>();

  constructor(site: Site, options: TailOptions, show: Show) {
    this.#site = site;
    this.#query = parseSearch(parametersOf([], options));
    this.#show = show;
    this.#client = connect(site, 'operator');
  }

  open(from: number, signal: AbortSignal) {
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

  /** Shows an entry if it is what is looked for. */
  async take(index: number, entry: Entry): Promise<void> {
    const origin = await this.#originOf(entry);
    if (matchesQuery(this.#query, fieldsOf(entry, origin))) this.#show(hitOf(index, entry, origin));
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

function parseFrom(text: string): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  throw new BoundaryError('index.malformed', 'Write --from as the index of an entry; nothing was read.', {
    at: '--from',
  });
}

function shower({ json }: SiteOptions): Show {
  if (json === true) return printJson;
  return ({ index, at, type, actor, class: name, target, result, text }) => {
    const what = [name, target, result, text].filter((part) => part !== null).map((part) => plain(part));
    const who = plain(actor.id ?? '-');
    print(
      `${String(index).padStart(7)}  ${moment(at)}  ${plain(type).padEnd(26)}  ${who}  ${what.join('  ')}`,
    );
  };
}
