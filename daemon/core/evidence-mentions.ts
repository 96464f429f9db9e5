import { BoundaryError } from '../formats/boundary-error.ts';

/*
 * Which entries of a ledger name a decision: found by searching their bytes, because it is asked too seldom for a table of
 * its own.
 */

/** As much of a ledger as this needs. All of it is one snapshot. */
export interface EvidenceLedger {
  readonly origin: string;
  readonly size: number;
  checkpoint(): string | null;
  entry(index: number): Uint8Array | null;
  entries(from: number, limit: number): { index: number; bytes: Uint8Array }[];
  stream(id: string, newest?: number): { index: number; bytes: Uint8Array }[];
  inclusionProof(index: number): Uint8Array[];
  consistencyProof(from: number): Uint8Array[];
}

/** Entries of other streams that name a decision, as far as one step of the search came. */
export interface Mentions {
  /** Log indexes. */
  found: number[];
  /** Entries that could not be read. */
  unsearched: number;
  /** Where to go on; null at the end. */
  next: number | null;
}

/**
 * One step of the search for entries that name a decision and are not its own. Bytes are searched, not read: the question
 * is which entries, not what they mean. What a permit's id shares with its decision's counts.
 */
export function findMentions(
  ledger: EvidenceLedger,
  decision: string,
  { from, limit }: { from: number; limit: number },
): Mentions {
  const { entries, unsearched } = readable(ledger, from, limit);
  const needle = decision.slice(decision.indexOf('_') + 1);
  const own = `"stream":"${decision}"`;
  const found = entries.flatMap(({ index, bytes }) => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return text.includes(needle) && !text.includes(own) ? index : [];
  });
  const next = from + limit;
  return { found, unsearched, next: next < ledger.size ? next : null };
}

/** The entries of a range that are at hand. Closed segments may lie in archive files, and these elsewhere. */
function readable(ledger: EvidenceLedger, from: number, limit: number) {
  try {
    return {
      entries: ledger.entries(from, limit).filter(({ index }) => index < from + limit),
      unsearched: 0,
    };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
  }
  const indexes = Array.from({ length: Math.min(limit, ledger.size - from) }, (_, at) => from + at);
  const entries = indexes.flatMap((index) => {
    const bytes = atHand(ledger, index);
    return bytes === null ? [] : [{ index, bytes }];
  });
  return { entries, unsearched: indexes.length - entries.length };
}

function atHand(ledger: EvidenceLedger, index: number): Uint8Array | null {
  try {
    return ledger.entry(index);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
