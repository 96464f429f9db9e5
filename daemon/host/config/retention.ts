import type { Profile } from '../site.ts';
import type { Section } from './section.ts';

/** When what the policy lets go is moved out of the ledger's database. How long it stays is policy, not setting. */
export interface RetentionConfig {
  /** Five cron fields, in UTC; null: only on demand (`ledger prune`). */
  schedule: string | null;
}

export const RETENTION_SETTINGS: readonly string[] = ['schedule'];

/** Once a day, when little else happens. */
const SCHEDULE = '41 2 * * *';

/** The checked `retention` section of `holdfast.json`. A dev site moves nothing by itself. */
export function parseRetention(section: Section, profile: Profile): RetentionConfig {
  return { schedule: cronOf(section, 'schedule', SCHEDULE, profile === 'dev') };
}

/** How the daemon re-verifies its own ledger while it runs. */
export interface IntegrityConfig {
  /** When a new pass over the whole ledger begins; null: none by itself. New entries are looked at all the time. */
  schedule: string | null;
  /** How fast it may be, at the most. */
  entriesPerSecond: number;
}

export const INTEGRITY_SETTINGS: readonly string[] = ['schedule', 'entries_per_second'];

/** A pass a day; 10,000,000 entries take some six hours at this rate. */
const PASS = '7 1 * * *';
const PER_SECOND = 500;
const PER_SECOND_MAX = 1_000_000;

/** The checked `integrity` section of `holdfast.json`. A dev site is verified on demand only. */
export function parseIntegrity(section: Section, profile: Profile): IntegrityConfig {
  return {
    schedule: cronOf(section, 'schedule', PASS, profile === 'dev'),
    entriesPerSecond: section.count('entries_per_second', PER_SECOND, PER_SECOND_MAX),
  };
}

function cronOf(section: Section, key: string, usual: string, onDemand: boolean): string | null {
  const given = section.value(key);
  if (given === null || (given === undefined && onDemand)) return null;
  const fields = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;
  return section.text(key, usual, fields, `five cron fields, such as "${usual}" (UTC), or null`);
}
