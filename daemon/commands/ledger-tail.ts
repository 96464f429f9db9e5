import { Command } from 'commander';
import type { SearchHit } from '../api/client.ts';
import { parseSearch } from '../core/search-request.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openSite, parseLimit, type Site, type SiteOptions } from './access.ts';
import { followSearch } from './entry-follower.ts';
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
  const { entries, size } = await findAll(
    site,
    parametersOf([], options),
    parseLimit(options.lines, '--lines'),
  );
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

/** Follows the stream until it is interrupted; what comes between two connections comes with the second. */
async function follow(site: Site, options: TailOptions, from: number, shows: Show): Promise<void> {
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const linked = (back: boolean): void =>
    say(back ? 'The daemon is back.' : 'The daemon does not answer; waiting for it.');
  const query = parseSearch(parametersOf([], options));
  const next = await followSearch(site, query, from, { shows, linked }, interrupted.signal);
  say(`Go on with: holdfast ledger tail -f --from ${next}`);
}

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
