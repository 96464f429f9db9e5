import { type BundleRetention, SEGMENT_SIZE } from './bundle-retention.ts';
import type { DecisionStatus, PermitState } from './decision.ts';
import { durationMs } from './duration.ts';

/** Section `retention` as numbers; null: never, or no bound. */
export interface RetentionRule {
  archiveAfterMs: number;
  keepMs: number | null;
  envelopesMs: number | null;
  segmentSize: number;
  maxDiskBytes: number | null;
}

/** The section's durations in milliseconds, its sizes in bytes and entries. */
export function retentionRule(section: BundleRetention): RetentionRule {
  const { archive_after, keep_entries_for, envelopes_for, segment_size, max_disk } = section;
  const optional = (text: string | undefined) => (text === undefined ? null : durationMs(text));
  return {
    archiveAfterMs: durationMs(archive_after),
    keepMs: optional(keep_entries_for),
    envelopesMs: optional(envelopes_for),
    segmentSize: segment_size ?? SEGMENT_SIZE,
    maxDiskBytes: max_disk === undefined ? null : diskBytes(max_disk),
  };
}

const MIB = 1_048_576;

/** Bytes of a size as policy writes it: `500MiB`, `20GiB`. */
function diskBytes(text: string): number {
  const [, count, unit] = /^([0-9]+)(MiB|GiB)$/.exec(text) ?? [];
  return Number(count) * (unit === 'GiB' ? 1_024 * MIB : MIB);
}

/** Whether something may still become of a decision, or of a permit under it: then its entries stay where they are. */
export function isOpen(row: {
  status: DecisionStatus;
  permit: PermitState;
  expires_at: number | null;
}): boolean {
  if (row.status === 'evaluated' || row.status === 'pending_authority') return true;
  return row.expires_at !== null || row.permit === 'redeemed' || row.permit === 'unknown';
}
