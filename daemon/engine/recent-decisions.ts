import { decodeEntry, type Entry } from '../formats/entry.ts';
import { viewLedger } from '../ledger/open.ts';

const PAGE = 256;

/**
 * The newest entries of a ledger's file, newest first, at most `limit`; read beside its writer, whom that costs nothing.
 * Throws the errors of `viewLedger`.
 */
export function* newestEntries(
  path: string,
  trust: Parameters<typeof viewLedger>[1],
  limit: number,
): Generator<{ index: number; entry: Entry }> {
  const view = viewLedger(path, trust);
  try {
    const oldest = Math.max(0, view.size - limit);
    for (let end = view.size; end > oldest; end -= PAGE) {
      const from = Math.max(oldest, end - PAGE);
      for (const { index, bytes } of view.entries(from, end - from).toReversed())
        yield { index, entry: decodeEntry(bytes) };
    }
  } finally {
    view.close();
  }
}
