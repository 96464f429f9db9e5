import type { AnchorLink } from '../core/anchor-report.ts';

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
