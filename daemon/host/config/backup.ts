import type { Section } from './section.ts';

/** Backups that the daemon makes by itself. */
export interface BackupConfig {
  /** Five cron fields, in UTC. */
  schedule: string;
  /** Where they go: best another machine's disk, or one that is taken away. */
  dir: string;
  /** age recipients; whoever has the identity of one can open them. */
  to: readonly string[];
  /** How many are kept; older ones that the daemon made are removed. */
  keep: number;
  /** Whether the site's secret keys go along. */
  withKeys: boolean;
  /** After so long without one it is said aloud, in ms. */
  warnAfterMs: number;
}

export const BACKUP_SETTINGS: readonly string[] = ['schedule', 'dir', 'to', 'keep', 'keys', 'warn_after'];

const SCHEDULE = '7 1 * * *';
const FIELDS = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;
const KEEP = 14;
const KEEP_MAX = 10_000;
const RECIPIENTS_MAX = 32;
const UNIT_MS = { h: 3_600_000, d: 86_400_000 } as const;

/** The checked `backup` section of `holdfast.json`. */
export function parseBackup(section: Section): BackupConfig {
  const after = section.text('warn_after', '50h', /^[1-9]\d{0,3}[hd]$/, 'a duration such as "50h" or "8d"');
  return {
    schedule: section.text('schedule', SCHEDULE, FIELDS, `five cron fields, such as "${SCHEDULE}" (UTC)`),
    dir: section.text('dir', null, /^\/[^\0]+$/, 'an absolute path, such as "/mnt/backup"'),
    to: section.texts('to', /^age1[a-z0-9]+$/, RECIPIENTS_MAX, 'a list of age recipients (age1…)'),
    keep: section.count('keep', KEEP, KEEP_MAX),
    withKeys: section.choice('keys', ['include', 'exclude'], 'exclude') === 'include',
    warnAfterMs: Number(after.slice(0, -1)) * UNIT_MS[after.slice(-1) as keyof typeof UNIT_MS],
  };
}
