import { decodeEntry, type EntryActor } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Batch, EngineState } from './context.ts';
import { KEY_STREAM } from './key-stream.ts';

/** A site cannot be made to remember without end. */
export const SUSPENDED_MAX = 10_000;
const SYSTEM: EntryActor = { id: null, role: 'system' };

/**
 * What the bundles that were just put in force give back: one `key.reinstated` for each suspension that they name by its
 * act. A later suspension of the same key is another act, so an old list cannot lift it.
 */
export function liftSuspensions(batch: Batch): void {
  const { policies, suspended } = batch.state;
  if (suspended.size === 0) return;
  const lifted = new Set(
    policies.inForce().flatMap(({ compiled }) => compiled.bundle.suspension?.lifted ?? []),
  );
  if (lifted.size === 0) return;
  for (const { id, data } of openSuspensions(batch.state, SUSPENDED_MAX)) {
    const digest = String(data.act_digest);
    if (!lifted.has(digest)) continue;
    batch.record(KEY_STREAM, 'key.reinstated', SYSTEM, { reinstated: id, act_digest: digest });
    suspended.delete(id);
  }
}

/** What the ledger says is suspended, for a state that is being opened. */
export function readSuspended(projections: EngineState['projections']): Set<string> {
  return new Set(projections.standingOpen('suspension', SUSPENDED_MAX).map(({ id }) => id));
}

/** What is suspended with the act that did it, oldest first. */
export function openSuspensions(
  { projections, ledger }: EngineState,
  limit: number,
): { id: string; index: number; at: string; data: JsonObject }[] {
  return projections.standingOpen('suspension', limit).flatMap(({ id, last_idx }) => {
    const bytes = ledger.entry(last_idx);
    if (bytes === null) return [];
    const { at, data } = decodeEntry(bytes);
    return [{ id, index: last_idx, at, data }];
  });
}
