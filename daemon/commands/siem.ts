import { Command, Option } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { FEED_FORMATS, type FeedFormat } from '../host/config/siem.ts';
import { parseLimit, type SiteOptions } from './access.ts';

const HELP = `
Examples:
  holdfast siem print --format ocsf --limit 20          the newest 20, as a feed would tell them
  holdfast siem print --format cef --from 0 --limit 1000

Feeds run in the daemon: settings "siem" of holdfast.json, docs/operate/siem.md. An event holds what a summary shows
and no payload; its id is the log's origin, # and the index of its entry, and never changes.`;

interface PrintOptions extends SiteOptions {
  format: FeedFormat;
  from?: string;
  limit: string;
}

/** `holdfast siem …`: ledger entries as a SIEM is told of them. */
export function siemCommand(): Command {
  const print = new Command('print')
    .description('Print entries as OCSF, CEF or syslog, one event a line.')
    .addOption(new Option('--format <format>', 'how').choices([...FEED_FORMATS]).default('ocsf'))
    .option('--from <index>', 'first entry (default: the newest ones)')
    .option('--limit <n>', 'at most so many', '20')
    .addHelpText('after', HELP)
    .action(printEvents);
  return new Command('siem').description('Ledger entries as a SIEM is told of them.').addCommand(print);
}

const PAGE = 200;

async function printEvents(options: PrintOptions): Promise<void> {
  const limit = parseLimit(options.limit);
  const { openEntries } = await import('./entry-source.ts');
  const { securityEvent } = await import('../core/siem-event.ts');
  const { encodeEntry } = await import('../formats/entry.ts');
  const { printEvent } = await import('../siem/line.ts');
  const { openSite } = await import('./access.ts');
  const { trustOf } = await import('./site.ts');
  const { origin } = trustOf(openSite(options));
  const source = await openEntries(options);
  try {
    const from = options.from === undefined ? Math.max(0, source.size - limit) : indexOf(options.from);
    const end = Math.min(source.size, from + limit);
    for (let next = from; next < end; next += PAGE) {
      for (const { index, entry } of await source.read(next, Math.min(PAGE, end - next)))
        process.stdout.write(
          `${printEvent(options.format, securityEvent(origin, index, encodeEntry(entry)))}\n`,
        );
    }
  } finally {
    source.close();
  }
}

function indexOf(text: string): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  throw new BoundaryError(
    'index.malformed',
    'An index is a whole number, 0 for the first entry; nothing was printed.',
  );
}
