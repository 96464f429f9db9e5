import type { Section } from './section.ts';

/** How old the site's own keys may get, and when the daemon changes those that are. */
export interface KeysConfig {
  /** Age in ms at which the ledger key is due for rotation, and `status` says so; null: never. */
  ledgerMaxAgeMs: number | null;
  /** Five cron fields, in UTC: when the daemon looks, and rotates a key that is due; null: only by hand. */
  schedule: string | null;
}

export const KEYS_SETTINGS: readonly string[] = ['ledger_max_age', 'schedule'];

const MAX_AGE = '365d';
const DAY_MS = 86_400_000;
const FIELDS = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;

/**
 * The checked `keys` section of `holdfast.json`. Without a schedule keys change by hand only: those who check this site from
 * elsewhere want a new trust file after each change, and somebody has to carry it.
 */
export function parseKeys(section: Section): KeysConfig {
  return { ledgerMaxAgeMs: maxAge(section), schedule: schedule(section) };
}

function maxAge(section: Section): number | null {
  if (section.value('ledger_max_age') === null) return null;
  const days = section.text(
    'ledger_max_age',
    MAX_AGE,
    /^[1-9]\d{0,4}d$/,
    'a number of days such as "365d", or null',
  );
  return Number(days.slice(0, -1)) * DAY_MS;
}

function schedule(section: Section): string | null {
  const given = section.value('schedule');
  if (given === null || given === undefined) return null;
  return section.text('schedule', null, FIELDS, 'five cron fields, such as "11 4 * * *" (UTC), or null');
}
