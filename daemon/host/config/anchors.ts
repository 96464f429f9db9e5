import type { Profile } from '../site.ts';
import type { Section } from './section.ts';

/** When tree heads leave the site, and how many of them wait in the outbox. */
export interface AnchorsConfig {
  /** Five cron fields, in UTC; null: only on demand, and when the policy demands one. */
  schedule: string | null;
  /** Links of the chain that wait for headquarters; older ones are joined into one. */
  keep: number;
}

export const ANCHORS_SETTINGS: readonly string[] = ['schedule', 'keep'];

/** Once a day, when little else happens. */
const SCHEDULE = '17 3 * * *';
const KEEP = 100;
const KEEP_MAX = 1_000;

/** The checked `anchors` section of `holdfast.json`. A dev site exports on demand only. */
export function parseAnchors(section: Section, profile: Profile): AnchorsConfig {
  return { schedule: scheduleOf(section, profile), keep: section.count('keep', KEEP, KEEP_MAX) };
}

function scheduleOf(section: Section, profile: Profile): string | null {
  const given = section.value('schedule');
  if (given === null || (given === undefined && profile === 'dev')) return null;
  const fields = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;
  return section.text('schedule', SCHEDULE, fields, `five cron fields, such as "${SCHEDULE}" (UTC), or null`);
}
