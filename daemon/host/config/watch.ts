import type { Profile } from '../site.ts';
import type { Section } from './section.ts';

/** How the site shows that it is awake, and tests its own gateway. */
export interface WatchConfig {
  /** Between two `system.heartbeat` entries, in ms: what is missing between them is visible afterwards. */
  heartbeatMs: number;
  /** Five cron fields, in UTC: when a must-deny action is sent through the gateway; null: only on demand. */
  canary: string | null;
}

export const WATCH_SETTINGS: readonly string[] = ['heartbeat', 'canary'];

/** An hour's worth of nothing is what an auditor has to put up with at the most, and 24 entries a day are few. */
const HEARTBEAT = '1h';
const CANARY = '23 * * * *';
const UNIT_MS = { m: 60_000, h: 3_600_000 } as const;

/** The checked `watch` section of `holdfast.json`. A dev site tests its gateway on demand only. */
export function parseWatch(section: Section, profile: Profile): WatchConfig {
  const heartbeat = section.text('heartbeat', HEARTBEAT, /^[1-9]\d{0,3}[mh]$/, 'a duration such as "1h"');
  return {
    heartbeatMs: Number(heartbeat.slice(0, -1)) * UNIT_MS[heartbeat.slice(-1) as keyof typeof UNIT_MS],
    canary: canaryOf(section, profile),
  };
}

function canaryOf(section: Section, profile: Profile): string | null {
  const given = section.value('canary');
  if (given === null || (given === undefined && profile === 'dev')) return null;
  const fields = /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/;
  return section.text('canary', CANARY, fields, `five cron fields, such as "${CANARY}" (UTC), or null`);
}
