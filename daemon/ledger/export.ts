import { BoundaryError } from '../formats/boundary-error.ts';
import { formatProof } from '../formats/tlog-proof.ts';
import type { LedgerView } from './read.ts';

/**
 * The C2SP tlog-proof of one entry under the newest checkpoint, with the entry's bytes in its `extra` line. Throws
 * `BoundaryError` `ledger.no_such_entry` or `ledger.empty`.
 */
export function proveIndex(ledger: LedgerView, index: number): string {
  const checkpoint = newestCheckpoint(ledger);
  const extra = Number.isSafeInteger(index) && index >= 0 && index < ledger.size ? ledger.entry(index) : null;
  if (extra === null) {
    throw new BoundaryError(
      'ledger.no_such_entry',
      `There is no entry ${index}; the ledger ends at ${ledger.size - 1}.`,
    );
  }
  return formatProof({ index, extra, proof: ledger.inclusionProof(index), checkpoint });
}

function newestCheckpoint(ledger: LedgerView): string {
  const note = ledger.checkpoint();
  if (note !== null) return note;
  throw new BoundaryError(
    'ledger.empty',
    'The ledger has no entries yet, so there is nothing to prove or export.',
  );
}
