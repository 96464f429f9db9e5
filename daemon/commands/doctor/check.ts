import type { ApiClient } from '../../api/client.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Site } from '../access.ts';

/**
 * `warn`: it works, and somebody should know. `fail`: it does not, or is not as safe as it must be. `unknown`: it cannot be
 * seen from here.
 */
export type CheckResult = 'pass' | 'warn' | 'fail' | 'unknown';

/** What one look found, and what to do about it. */
export interface Check {
  /** Stable name, such as `files.state_mode`. */
  id: string;
  result: CheckResult;
  /** What was looked at and how it is. */
  found: string;
  /** Null where there is nothing to do. */
  fix: string | null;
}

/** What the checks look at. */
export interface Patient {
  site: Site;
  /** The daemon's operator socket; null when nobody answers there. */
  daemon: ApiClient | null;
  /** What the processes say of themselves; null when they are silent. */
  status: { daemon: JsonObject | null; gateway: JsonObject | null };
  /** Those whose socket this account may not use: they may well run. */
  forbidden?: readonly ('daemon' | 'gateway')[];
}

export const pass = (id: string, found: string): Check => ({ id, result: 'pass', found, fix: null });
export const warn = (id: string, found: string, fix: string): Check => ({ id, result: 'warn', found, fix });
export const fail = (id: string, found: string, fix: string): Check => ({ id, result: 'fail', found, fix });
export const unknown = (id: string, found: string, fix: string): Check => ({
  id,
  result: 'unknown',
  found,
  fix,
});
