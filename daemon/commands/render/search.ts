import type { SearchHit } from '../../api/client.ts';
import type { JsonObject } from '../../formats/json.ts';
import { count, moment, plain, table } from './text.ts';

/** Found entries, one line each. */
export function renderHits(hits: readonly SearchHit[]): string {
  return table(
    ['index', 'at', 'type', 'by', 'class', 'target', 'result', 'text'],
    hits.map((hit) => [
      String(hit.index),
      moment(hit.at),
      plain(hit.type),
      plain(hit.actor.id ?? '-'),
      plain(hit.class ?? '-'),
      plain(hit.target ?? '-'),
      plain(hit.result ?? '-'),
      plain(shortened(hit.text ?? '')),
    ]),
  );
}

const TEXT_SHOWN = 60;

function shortened(text: string): string {
  return text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN - 1)}…`;
}

/** Entries that lag behind while nobody would notice: a search reads so many one by one. */
const BEHIND = 1_000;

/** How far the search index has come, as status has it; empty while it keeps up. */
export function searchLine({ behind, size, paused }: JsonObject): string {
  if (typeof behind !== 'number' || typeof size !== 'number' || behind < BEHIND) return '';
  const words = `the index lacks ${count(behind, 'entry', 'entries')} of ${size.toLocaleString('en-US')}`;
  return paused === true
    ? `${words}: it waits while decisions need the CPU; the newest are found`
    : `${words} and catches up; the newest are found`;
}
