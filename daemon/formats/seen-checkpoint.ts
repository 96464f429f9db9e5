import { BoundaryError } from './boundary-error.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import type { JsonObject } from './json.ts';

/**
 * The checkpoint that the signer of an entry's act had last seen of the ledger (`data.act.seen_checkpoint`): by signing it,
 * somebody outside vouches that this history was shown. Null where there is none, or what is there is no checkpoint.
 */
export function parseSeen(data: JsonObject): Checkpoint | null {
  const seen = (data.act as JsonObject | null | undefined)?.seen_checkpoint;
  if (typeof seen !== 'string') return null;
  try {
    return parseCheckpoint(seen);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
