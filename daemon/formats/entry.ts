import type { JsonObject } from './json.ts';

/** Largest entry in bytes: C2SP tlog-tiles length-prefixes entries of an entry bundle with a u16. */
export const ENTRY_MAX_BYTES = 65_535;

/** How far the clock could be believed when something was recorded (design: "Time without NTP"). */
export type TimeTrust = 'trusted' | 'floor' | 'uncertain';

/** Everything the ledger may hold. An entry is named after the result of the command that made it. */
export type EntryType =
  | 'decision.authorized'
  | 'decision.pending_authority'
  | 'decision.denied'
  | 'decision.queued'
  | 'decision.expired'
  | 'decision.cancelled'
  | 'decision.reviewed'
  | 'decision.reconciled'
  | 'approval.added'
  | 'approval.rejected'
  | 'exception.granted'
  | 'permit.redeemed'
  | 'permit.outcome'
  | 'policy.applied'
  | 'policy.refused'
  | 'policy.degraded'
  | 'time.uncertain'
  | 'time.restored'
  | 'system.initialized'
  | 'system.started'
  | 'system.stopped'
  | 'system.heartbeat';

/** Who caused an entry: the actor of the request, the approver, or the system itself. */
export interface EntryActor {
  id: string | null;
  role: string | null;
}

/**
 * One ledger entry, the unit of evidence (contract: "Files, Entry"). Stored and hashed as RFC 8785 JSON, UTF-8.
 * `seq` counts from 0 inside `stream`; `prev` is the hex SHA-256 of the stream's previous entry bytes, null at seq 0.
 */
export interface Entry {
  v: 1;
  site: string;
  type: EntryType;
  /** RFC 3339 UTC with milliseconds. */
  at: string;
  time_trust: TimeTrust;
  /** `dec_…` for a decision; `policy`, `system` otherwise. */
  stream: string;
  seq: number;
  prev: string | null;
  actor: EntryActor;
  data: JsonObject;
}
