import type { Entry } from '../../formats/entry.ts';
import { inline, moment, paint, plain, rows, table } from './text.ts';

interface Indexed {
  index: number;
  entry: Entry;
}

/** Entries, one line each, oldest first. */
export function renderEntries(entries: readonly Indexed[]): string {
  if (entries.length === 0) return 'No such entries.';
  return table(
    ['index', 'at', 'type', 'stream', 'by'],
    entries.map(({ index, entry }) => [
      String(index),
      moment(entry.at),
      entry.type,
      plain(entry.stream),
      plain(entry.actor.id ?? '-'),
    ]),
  );
}

/** One entry with all its members; `data` as indented JSON, safe for a terminal. */
export function renderEntry({ index, entry }: Indexed): string {
  const { type, at, time_trust, site, stream, seq, prev, actor, data } = entry;
  const body = JSON.stringify(data, null, 2).split('\n').map(plain).join('\n');
  return [
    `${paint('bold', `entry ${index}`)}  ${plain(type)}`,
    rows([
      ['at', `${plain(at)} (clock ${plain(time_trust)})`],
      ['site', plain(site)],
      ['stream', `${plain(stream)}, number ${seq}`],
      ['follows', prev ?? 'nothing: first of its stream'],
      ['by', inline(actor as unknown as { id: string | null; role: string | null })],
    ]),
    body,
  ].join('\n');
}
