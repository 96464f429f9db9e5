import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import { viewLedger } from '../ledger/open.ts';

/**
 * The newest entries of a ledger's file, newest first, at most `limit`, as far back as they are here: what was carried off
 * ends it. Read beside its writer, whom that costs nothing. Throws the errors of `viewLedger`.
 */
export function* newestEntries(
  path: string,
  trust: Parameters<typeof viewLedger>[1],
  limit: number,
): Generator<{ index: number; entry: Entry }> {
  const view = viewLedger(path, trust);
  try {
    const oldest = Math.max(0, view.size - limit);
    for (let index = view.size - 1; index >= oldest; index--) {
      const bytes = hereOrNull(() => view.entry(index));
      if (bytes === null) return;
      yield { index, entry: decodeEntry(bytes) };
    }
  } finally {
    view.close();
  }
}

function hereOrNull(read: () => Uint8Array | null): Uint8Array | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof BoundaryError && error.code.startsWith('archive.')) return null;
    throw error;
  }
}
