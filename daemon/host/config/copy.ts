import type { Section } from './section.ts';

/** Where a second copy of the ledger is kept, on another disk or a removable one. */
export interface CopyConfig {
  /** Directory made by `holdfast copy new`. */
  path: string;
  /** Five cron fields, in UTC: when all of it is read and verified again; null: never by itself. */
  verify: string | null;
}

export const COPY_SETTINGS: readonly string[] = ['path', 'verify'];

const VERIFY = '41 2 * * 0';
const FIELDS = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;

/** The checked `copy` section of `holdfast.json`. */
export function parseCopy(section: Section): CopyConfig {
  return {
    path: section.text('path', null, /^\/[^\0]+$/, 'an absolute path, such as "/mnt/second/holdfast"'),
    verify:
      section.value('verify') === null
        ? null
        : section.text('verify', VERIFY, FIELDS, `five cron fields, such as "${VERIFY}" (UTC), or null`),
  };
}
