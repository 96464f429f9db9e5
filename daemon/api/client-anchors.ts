/** One link of the chain of anchors. */
export interface AnchorLink {
  old: number;
  size: number;
  /** Of its file. */
  name: string;
  /** Log index of its entry. */
  record_id: number;
  made_at: string;
  /** Whether it is known outside: acknowledged, cosigned, or taken to a medium. */
  departed: boolean;
}

/** What an export answers: the newest link, which is the last one where nothing happened since. */
export interface ExportedAnchor extends AnchorLink {
  unchanged: boolean;
  /** Exact bytes of the add-checkpoint request. */
  anchor: string;
  /** In the outbox; null when headquarters has it already. */
  file: string | null;
}

export interface AnchorChain {
  origin: string;
  /** Entries of the ledger. */
  size: number;
  /** Size of the newest anchor that is known outside, and that headquarters acknowledged; null: none. */
  departed: number | null;
  acknowledged: number | null;
  anchors: AnchorLink[];
  /** `before` of the next page; null at the end. */
  next: number | null;
}

/** What was taken along to a medium. */
export interface CarriedAlong {
  /** Directory on the medium; null when nothing could be written there. */
  directory: string | null;
  /** Names of the files that were written now. */
  written: string[];
  /** Tree up to which the medium holds the chain; null when it holds none. */
  size: number | null;
  /** Why nothing could be written, in words; null when all is well. */
  failure: string | null;
  /** An anchor on the medium, signed by this site, that the ledger does not bear out: a longer or another history. */
  contradiction: {
    name: string;
    size: number;
    kind: 'ahead' | 'other_history';
    /** The incident that halts the site; null when none could be recorded. */
    incident_id: string | null;
  } | null;
}
