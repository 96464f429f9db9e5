/** What became of a cosigned checkpoint. */
export interface ImportedCosignatures {
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
