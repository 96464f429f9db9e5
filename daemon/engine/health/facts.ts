import type { Component } from '../../core/component.ts';
import type { Profile } from '../../host/site.ts';
import type { EngineState } from '../context.ts';
import type { DiskReport } from '../disk-guard.ts';
import type { TimeReport } from '../time.ts';

/** Why the ledger cannot be written at the moment. */
export interface LedgerTrouble {
  since: number;
  cause: string;
}

/** What the engine knows of itself when it is asked how it is. */
export interface HealthFacts {
  /** Null while the ledger cannot be used. */
  state: EngineState | null;
  trouble: LedgerTrouble | null;
  disk: DiskReport;
  site: string;
  profile: Profile;
  startedAt: number;
  time: TimeReport;
}

/** One thing that is wrong, what it does to decisions, and what a person can do about it. */
export interface Degraded {
  component: Component;
  cause: string;
  since: string | null;
  effect: string;
  instruction: string;
}

/** An instant as status shows it. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
