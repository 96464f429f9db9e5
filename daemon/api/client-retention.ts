import type { JsonObject } from '../formats/json.ts';

/** A segment of the log whose entries lie in an archive file. */
export interface ArchivedSegment {
  first: number;
  until: number;
  /** How many of them left the database. */
  entries: number;
  file: string;
  bytes: number;
  sha256: string;
  /** Log index of the entry that says so. */
  record: number;
  /** Where the file was taken; null while it should be here. */
  carried_to: string | null;
}

export interface RetentionState {
  /** Null where the policy has no section `retention`. */
  rule: { words: JsonObject } | null;
  size: number;
  archived: { segments: number; entries: number; bytes: number; carried: number };
  segments: ArchivedSegment[];
  held: { decision: string; record: number }[];
  envelopes: number;
  reusable_bytes: number;
}

/** What a round of pruning did, or would do. */
export interface PruneReport {
  dry_run: boolean;
  /** Why nothing can move. */
  refused: string | null;
  archived: { first: number; until: number; file: string; bytes: number; record: number }[];
  candidates: { first: number; until: number; newest_at: string }[];
  held: { first: number; until: number; decision: string; why: string }[];
  shredded: number;
}

/** An archive file that may lie elsewhere from now on. */
export interface CarriedArchive {
  first: number;
  until: number;
  file: string;
  /** It was on record already. */
  again: boolean;
  /** Whether the file was still here, and is removed now. */
  removed: boolean;
}

export interface HoldBody {
  decision: string;
  reason: string;
  actor?: { id: string };
}
