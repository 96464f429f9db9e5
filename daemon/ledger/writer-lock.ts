import { BoundaryError } from '../formats/boundary-error.ts';
import { isLocked, lockFile } from './database.ts';
import { assertWritable } from './database-place.ts';

/** Held for as long as a process writes a ledger; the kernel lets go of it when the process dies, however it dies. */
export interface WriterLock {
  release(): void;
}

/**
 * Takes the ledger's writer lock, a file beside it. Two writers with a tree of their own each would sign two histories.
 * Throws `BoundaryError` `ledger.in_use` when another process holds it, `database.readonly_disk` and `database.forbidden`
 * where nothing can be written, and SQLite's own error when the disk is full or broken.
 */
export function lockWriter(ledgerPath: string): WriterLock {
  assertWritable(ledgerPath, 'ledger');
  const path = `${ledgerPath}.lock`;
  try {
    return lockFile(path);
  } catch (cause) {
    if (!isLocked(cause)) throw cause;
    throw new BoundaryError(
      'ledger.in_use',
      `Another process writes the ledger ${ledgerPath} (a running daemon?); nothing was opened. Ask that daemon, or stop it first.`,
      { at: path, cause },
    );
  }
}
