import { Command } from 'commander';
import { ApiUnreachable } from '../../api/client.ts';
import { decodeEntry } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { connect, openSite, parseLimit, type Site, type SiteOptions } from '../access.ts';
import type { IndexedEntry } from '../entry-source.ts';
import { print, printJson, say } from '../render/output.ts';
import { moment, plain, table } from '../render/text.ts';
import { ownLogTrust } from '../site.ts';

/** `holdfast policy history`: what was put in force here, what was refused, how it aged. */
export function policyHistoryCommand(): Command {
  return new Command('history')
    .description('What was put in force here, what was refused and why, and how policy aged; oldest first.')
    .option('--limit <n>', 'at most so many, the newest', '50')
    .action(async (options: SiteOptions & { limit: string }) => {
      const { total, entries } = await readHistory(openSite(options), parseLimit(options.limit));
      if (options.json) {
        for (const entry of entries) printJson(entry);
        return;
      }
      print(entries.length === 0 ? 'No policy was ever offered to this site.' : renderHistory(entries));
      if (total > entries.length) say(`There are ${total - entries.length} older ones; use --limit.`);
    });
}

interface History {
  total: number;
  entries: IndexedEntry[];
}

/** The daemon's answer where it runs, else the ledger's file. */
async function readHistory(site: Site, limit: number): Promise<History> {
  const client = connect(site, 'operator');
  try {
    return await client.policyHistory(limit);
  } catch (error) {
    const down =
      error instanceof ApiUnreachable && (error.reason === 'missing' || error.reason === 'refused');
    if (!down) throw error;
    say('The daemon is not running; reading the ledger file.');
    return fromFile(site, limit);
  } finally {
    client.close();
  }
}

async function fromFile(site: Site, limit: number): Promise<History> {
  const { viewLedger } = await import('../../ledger/open.ts');
  const { origin, vkeys } = ownLogTrust(site);
  const view = viewLedger(site.paths.ledger, { origin, vkeys });
  try {
    const stream = view.stream('policy');
    const newest = stream.slice(Math.max(0, stream.length - limit));
    return {
      total: stream.length,
      entries: newest.map(({ index, bytes }) => ({ index, entry: decodeEntry(bytes) })),
    };
  } finally {
    view.close();
  }
}

function renderHistory(entries: readonly IndexedEntry[]): string {
  const body = entries.map(({ index, entry }) => [
    String(index),
    moment(entry.at),
    entry.type === 'approval.rejected' ? 'act refused' : entry.type.slice('policy.'.length),
    plain(entry.actor.id ?? '-'),
    plain(describe(entry.type, entry.data)),
  ]);
  return table(['index', 'at', 'what', 'by', ''], body);
}

/** `serial 3: production field-site@2 (was field-site@1) from /media/stick`. */
function describe(type: string, data: JsonObject): string {
  if (type === 'policy.applied') {
    if (data.renews !== undefined)
      return `serial ${serialOf(data)}: signed anew (${versionsOf(data)}); from ${String(data.source)}`;
    const { site_target, environments, previous, source } = data as unknown as {
      site_target: { serial: number };
      environments: Pins;
      previous: Pins | null;
      source: string;
    };
    const changes = Object.entries(environments).map(([environment, pin]) => {
      const was = previous?.[environment];
      const note =
        was === undefined ? '' : was.digest === pin.digest ? ' (unchanged)' : ` (was ${nameOf(was)})`;
      return `${environment} ${nameOf(pin)}${note}`;
    });
    const gone = Object.keys(previous ?? {}).filter((environment) => !(environment in environments));
    const ended = gone.map((environment) => `${environment} ended`);
    return `serial ${site_target.serial}: ${[...changes, ...ended].join(', ')}; from ${source}`;
  }
  if (type === 'policy.refused')
    return `${String(data.code)}: ${String(data.reason)} From ${String(data.source)}`;
  if (type === 'policy.held')
    return `serial ${serialOf(data)}: ${String(data.reason)} From ${String(data.source)}`;
  if (type === 'policy.approved') return `signed for the update that waits, as ${String(data.role)}`;
  if (type === 'policy.rejected' || type === 'policy.lapsed')
    return `serial ${String(data.serial)}: ${String(data.reason)}`;
  if (type === 'approval.rejected') return `did not count: ${String(data.reason)}`;
  if (type === 'policy.degraded') {
    return `${String(data.environment)}: ${String(data.previous)} → ${String(data.step)}, no news since ${String(data.news_at)}`;
  }
  return '';
}

/** `root 2, timestamp 7, snapshot 6, targets 5`. */
function versionsOf({ repository }: JsonObject): string {
  return Object.entries((repository ?? {}) as Record<string, number>)
    .map(([role, version]) => `${role} ${version}`)
    .join(', ');
}

function serialOf({ site_target }: JsonObject): string {
  return String((site_target as { serial?: number } | null)?.serial ?? '?');
}

type Pins = Record<string, { name: string; version: number; digest: string }>;

function nameOf({ name, version }: Pins[string]): string {
  return `${name}@${version}`;
}
