import { Command } from 'commander';
import {
  type ApiClient,
  ApiUnreachable,
  type FoundPage,
  type SearchCall,
  type SearchHit,
} from '../api/client.ts';
import { formatCursor, parseCursor, parseSearch, type SearchParameters } from '../core/search-request.ts';
import { connect, openSite, parseLimit, type Site, type SiteOptions } from './access.ts';
import { assertType } from './entry-type.ts';
import { print, printJson, say } from './render/output.ts';
import { renderHits } from './render/search.ts';
import { count } from './render/text.ts';
import { instantOf } from './since.ts';
import { trustOf } from './site.ts';

const HELP = `
Examples:
  holdfast ledger search telemetry relay                   entries whose free text has both words
  holdfast ledger search --class restart_service --result failed --since 7d
  holdfast ledger search --type ledger.read --actor alice  what alice opened or took away
  holdfast ledger search --target service:relay-2 --oldest-first --limit 500

Free text is the intent, reasons, notes, targets and classes; whole words, whatever their case. Values of payloads are
not searched. All that is given must hold. --class, --target, --env and --actor find what followed in a decision too.
An entry in full: holdfast ledger show INDEX.`;

/** Options that are filters, by the name of the parameter that each is. */
const FILTERS = {
  type: 'type',
  stream: 'stream',
  about: 'about',
  actor: 'actor',
  class: 'class',
  target: 'target',
  env: 'environment',
  result: 'result',
} as const;

export type Filters = Partial<Record<keyof typeof FILTERS, string>>;

interface SearchOptions extends SiteOptions, Filters {
  since?: string;
  until?: string;
  limit: string;
  after?: string;
  oldestFirst?: boolean;
}

/** `holdfast ledger search`. */
export function searchCommand(): Command {
  return withFilters(new Command('search'))
    .description('Find entries by what was asked, by whom, for what, with which result.')
    .argument('[words...]', 'words that must all occur in the free text')
    .option('--since <when>', 'not before: 7d, 24h or an instant')
    .option('--until <when>', 'not after: 7d, 24h or an instant')
    .option('--limit <n>', 'at most so many', '50')
    .option('--after <cursor>', 'go on behind this, as printed by the search before')
    .option('--oldest-first', 'in the order of the ledger instead of the newest first')
    .addHelpText('after', HELP)
    .action(async (words: string[], options: SearchOptions) => {
      const limit = parseLimit(options.limit);
      assertType(options.type);
      const found = await findAll(openSite(options), callOf(words, options), limit);
      if (options.json) printJson(found);
      else report(found);
    });
}

/** The filters that searching and tailing have in common. */
export function withFilters(command: Command): Command {
  return command
    .option('--type <type>', 'type of the entry, e.g. permit.outcome')
    .option('--stream <stream>', 'dec_…, policy, system, reading, …')
    .option('--about <id>', 'a decision, session or incident: its entries, and others that name it')
    .option('--actor <id>', 'who caused it, or asked for its decision')
    .option('--class <class>', 'action class')
    .option('--target <target>', 'TYPE:ID')
    .option('--env <environment>', 'environment')
    .option('--result <result>', 'authorized, denied, succeeded, failed, approve, reject, …');
}

/** What the filters and words ask for. */
export function parametersOf(words: readonly string[], options: Filters): SearchParameters {
  const parameters: SearchParameters = {};
  if (words.length > 0) parameters.q = words.join(' ');
  for (const [option, name] of Object.entries(FILTERS)) {
    const value = options[option as keyof typeof FILTERS];
    if (value !== undefined) parameters[name] = value;
  }
  return parameters;
}

function callOf(words: readonly string[], options: SearchOptions): SearchCall {
  const call: SearchCall = {
    ...parametersOf(words, options),
    order: options.oldestFirst ? 'oldest' : 'newest',
  };
  if (options.since !== undefined) call.since = new Date(instantOf('--since', options.since)).toISOString();
  if (options.until !== undefined) call.until = new Date(instantOf('--until', options.until)).toISOString();
  if (options.after !== undefined) call.after = options.after;
  parseSearch(call);
  return call;
}

const PAGE = 200;

/** Pages until there are `limit` entries or no more. */
export async function findAll(site: Site, call: SearchCall, limit: number): Promise<FoundPage> {
  const source = await openSearch(site);
  try {
    const entries: SearchHit[] = [];
    let unread = 0;
    let { after, ...query } = call;
    for (;;) {
      const page = await source.search({
        ...query,
        limit: Math.min(PAGE, limit - entries.length),
        ...(after === undefined ? {} : { after }),
      });
      entries.push(...page.entries);
      unread += page.unread;
      if (page.next === null || entries.length >= limit) return { ...page, entries, unread };
      after = page.next;
    }
  } finally {
    source.close();
  }
}

interface SearchSource {
  search(call: SearchCall): Promise<FoundPage>;
  close(): void;
}

/** The daemon's answers where it runs, else the same search over the files. */
async function openSearch(site: Site): Promise<SearchSource> {
  const client: ApiClient = connect(site, 'operator');
  try {
    await client.checkpoint();
    return client;
  } catch (error) {
    client.close();
    const down =
      error instanceof ApiUnreachable && (error.reason === 'missing' || error.reason === 'refused');
    if (!down) throw error;
    say('The daemon is not running; searching the ledger file.');
    return fromFile(site);
  }
}

async function fromFile(site: Site): Promise<SearchSource> {
  // Only here: most commands never need the database driver.
  const { followLedger } = await import('../ledger/follow.ts');
  const { Searcher } = await import('../engine/search/searcher.ts');
  const source = followLedger(site.paths.ledger, trustOf(site).origin);
  const searcher = new Searcher(source, site.paths.search);
  while (searcher.step());
  return {
    search: async ({ order, limit = PAGE, after, ...parameters }) => {
      const newestFirst = order !== 'oldest';
      const behind = after === undefined ? null : parseCursor(after, newestFirst);
      const { hits, next, size, indexed, unread } = searcher.search(parseSearch(parameters), {
        newestFirst,
        limit,
        after: behind,
      });
      const cursor = next === null ? null : formatCursor(next, newestFirst);
      return { entries: hits, next: cursor, size, indexed, unread };
    },
    close: () => {
      searcher.close();
      source.close();
    },
  };
}

/** What was found, and where the search goes on. */
function report({ entries, next, size, indexed, unread }: FoundPage): void {
  print(entries.length === 0 ? 'Nothing was found.' : renderHits(entries));
  if (next !== null) say(`There is more: go on with --after ${next}`);
  if (unread > 0) {
    say(
      `${count(unread, 'entry', 'entries')} may match and cannot be read here: the archive was carried off.`,
    );
  }
  if (indexed < size) {
    say(
      `The index is behind: entries from ${indexed} on (of ${size}) may be missing. It catches up when decisions leave it the time; search again later.`,
    );
  }
}
