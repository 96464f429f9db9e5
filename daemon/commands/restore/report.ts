import type { CarriedOver } from '../../engine/succeed.ts';

/** What a restore is given. */
export interface RestoreOptions {
  file: string;
  dir: string;
  identities: readonly string[];
  /** Trust file of the site; null: the backup's own word. */
  trust: string | null;
  anchors: readonly string[];
  head: string | null;
  copy: string | null;
  acceptLoss: boolean;
  sameLog: boolean;
  /** Number of the new log; null: the next. */
  logNumber: number | null;
  actor: string | null;
  reason: string | null;
  onStep?: (words: string) => void;
}

/** What a restore came to, as `--json` prints it. */
export interface RestoreReport {
  dir: string;
  site: string;
  profile: string;
  backup: { file: string; made_at: string; keys: boolean };
  /** The log that was restored, as far as it goes. */
  restored: { origin: string; size: number; root: string; from_copy: number };
  /** The log that goes on: the same, or a new one. */
  log: { origin: string; vkey: string; is_new: boolean };
  missing: { from: number; until: number | null; known_from: string | null } | null;
  carried: CarriedOver | null;
  /** Heads that it was held against, and whose keys were believed. */
  heads: number;
  /** Anchors that claim to be of this log and are not signed by a key that is known: not compared. */
  unbelieved: number;
  trusted_by: 'trust file' | 'backup';
  /** Where the old log lies in the site; null when it goes on. */
  former: string | null;
  /** What killed processes left beside `dir`: removed, or still there. */
  cleared: string[];
  left: string[];
}
