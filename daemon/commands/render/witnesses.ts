import type { JsonObject } from '../../formats/json.ts';
import { count, instant, plain } from './text.ts';

interface Witnesses {
  witnesses: string[];
  quorum: string | null;
  newest: { size: number; entries_since: number; at: string | null; by: string[] } | null;
}

/** How the site stands with its witnesses, for `status`; empty where it has none. */
export function witnessLine(status: JsonObject | null): string {
  if (status === null || !Array.isArray(status.witnesses)) return '';
  const { witnesses, quorum, newest } = status as unknown as Witnesses;
  const names = plain(witnesses.join(', '));
  if (newest === null) {
    const wanted = quorum === null ? names : `${names}, as trust/tlog-policy wants it (${plain(quorum)})`;
    return `nothing was cosigned yet by ${wanted}`;
  }
  const { size, entries_since, at, by } = newest;
  const when = at === null ? '' : `, ${instant(at)}`;
  return `${count(size, 'entry', 'entries')} cosigned by ${plain(by.join(', '))}${when}; ${count(entries_since, 'entry', 'entries')} since`;
}
