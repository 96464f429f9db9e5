/** One link of the chain of anchors as it is told: what it links, and where it stands. */
export interface AnchorLink {
  old: number;
  size: number;
  /** Of the file in outbox and on media. */
  name: string;
  /** Log index of its entry. */
  record_id: number;
  made_at: string;
  /** Whether it is known outside: acknowledged, cosigned, or taken to a medium. */
  departed: boolean;
}

/** What was taken along to a medium. */
export interface CarriedAlong {
  /** Directory on the medium; null when nothing could be written there. */
  directory: string | null;
  /** Names of the files that were written now. */
  written: string[];
  /** Tree up to which the medium holds the chain; null when it holds none. */
  size: number | null;
  /** Why not all could be written, in words; null when all is well. */
  failure: string | null;
  /** An anchor of this site on the medium that the ledger does not bear out: a longer or another history. */
  contradiction: AnchorContradiction | null;
}

export interface AnchorContradiction {
  name: string;
  size: number;
  kind: 'ahead' | 'other_history';
  /** The incident that halts the site; null when none could be recorded. */
  incident_id: string | null;
}

/** What became of a cosigned checkpoint. */
export interface TakenCosignatures {
  /** Of the checkpoint. */
  size: number;
  /** Names of the witnesses whose word was recorded now. */
  recorded: string[];
  /** Names of those whose word on this checkpoint was on record. */
  known: string[];
  /** Whether all that is on record of this checkpoint meets the quorum of trust/tlog-policy. */
  quorum: boolean;
  /** Log index of the entry; null when nothing was new. */
  record_id: number | null;
  /** Names that stand on lines which do not verify. */
  bad: string[];
  /** Lines by keys that trust/tlog-policy does not name. */
  unknown: number;
}
