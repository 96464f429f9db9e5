import type { JsonObject } from '../../formats/json.ts';
import { count, instant, plain } from './text.ts';

const STATE_WORDS: Readonly<Record<string, string>> = {
  current: 'up to date',
  behind: 'catching up',
  away: 'NOT THERE',
  full: 'DISK FULL',
  read_only: 'READ-ONLY',
  refused: 'NOT A COPY OF THIS LEDGER',
  failed: 'FAILED',
};

/** The second copy in one line of `status`; empty at a site that keeps none. */
export function copyLine({ path, state, entries, behind_entries: behind, behind_since }: JsonObject): string {
  if (typeof path !== 'string' || typeof state !== 'string') return '';
  const has = typeof entries === 'number' ? `, ${count(entries, 'entry', 'entries')}` : '';
  const since = typeof behind_since === 'string' ? ` since ${instant(behind_since)}` : '';
  const lacks =
    typeof behind === 'number' && behind > 0 ? `, lacks ${count(behind, 'entry', 'entries')}${since}` : '';
  return plain(`${STATE_WORDS[state] ?? state}${has}${lacks}, in ${path}`);
}

/** The newest backup on record in one line of `status`; empty where none was made and none is scheduled. */
export function backupLine({ at, file, size }: JsonObject, { schedule, failed }: JsonObject): string {
  const trouble = typeof failed === 'object' && failed !== null ? ', the last attempt FAILED' : '';
  if (typeof at !== 'string')
    return typeof schedule === 'string' ? plain(`none yet, by schedule ${schedule}${trouble}`) : '';
  return plain(`${instant(at)}, up to ${count(Number(size), 'entry', 'entries')}, ${String(file)}${trouble}`);
}
