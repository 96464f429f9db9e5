import type { JsonObject } from '../../formats/json.ts';
import { count, instant, plain } from './text.ts';

/** What the ledger takes of the disk, in one line of `status`; empty before it is known. */
export function keepingLine(retention: JsonObject): string {
  const { ledger_bytes: ledger, reusable_bytes: free, archive_bytes: archive } = retention;
  const { max_disk_bytes: budget, archived } = retention;
  if (typeof ledger !== 'number' || typeof free !== 'number' || typeof archive !== 'number') return '';
  const { segments, carried } = (archived ?? {}) as { segments?: number; carried?: number };
  const inside = free > 0 ? ` (${mib(free)} of it free)` : '';
  const files =
    segments === undefined || segments === 0
      ? ''
      : `, ${count(segments, 'archived segment')} (${mib(archive)}${carried === 0 ? '' : `, ${carried} carried off`})`;
  const bound = typeof budget === 'number' ? `, of ${mib(budget)} allowed` : '';
  return plain(`${mib(ledger)} database${inside}${files}${bound}`);
}

/** How the background check of the ledger stands; empty where none is scheduled. */
export function integrityLine({ schedule, checked, size, done, last, findings }: JsonObject): string {
  if (typeof schedule !== 'string') return '';
  if (typeof findings === 'number' && findings > 0) return plain(`${count(findings, 'finding')}: DAMAGED`);
  const { finished_at: at } = (last ?? {}) as { finished_at?: string };
  const before = at === undefined ? 'no whole pass yet' : `last whole pass ${instant(at)}`;
  if (typeof checked !== 'number' || typeof size !== 'number') return plain(`starting, ${before}`);
  const percent = size === 0 ? 100 : Math.floor((100 * checked) / size);
  return plain(
    done === true ? `nothing wrong, ${before}` : `${percent} % looked at, nothing wrong, ${before}`,
  );
}

function mib(bytes: number): string {
  const size = Math.ceil(bytes / 1_048_576);
  return size >= 10_240 ? `${Math.ceil(size / 1_024).toLocaleString('en-US')} GiB` : `${size} MiB`;
}
