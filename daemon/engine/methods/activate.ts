import type { EntryActor, EntryType } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch, Recorded } from '../context.ts';
import type { AppliedPolicy, PinnedBundle, SiteTarget } from '../policies.ts';
import { liftSuspensions } from '../suspensions.ts';
import { withSignedTime } from './policy-time.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };

/** Records what became of an update, and what that means for the one that waits. */
export function recordPolicy(batch: Batch, type: EntryType, actor: EntryActor, data: JsonObject): Recorded {
  const recorded = batch.record('policy', type, actor, withSignedTime(batch, type, data));
  batch.state.holds.follow(recorded.index, recorded.entry);
  return recorded;
}

/**
 * Puts an update in force whose bundles were admitted, with its one entry. In force for the rest of this batch too: a
 * later decision must not run under rules that an entry replaced. Returns the entry's index.
 */
export function putInForce(batch: Batch, applied: AppliedPolicy, actor: EntryActor): number {
  const { policies } = batch.state;
  const { index } = recordPolicy(batch, 'policy.applied', actor, {
    ...(applied as unknown as JsonObject),
    previous: (policies.applied?.environments ?? null) as unknown as JsonObject,
  });
  policies.activate(applied);
  policies.age.advance(batch);
  policies.anchoring.advance(batch, batch.state.time.floor(), batch.state.projections);
  liftSuspensions(batch);
  return index;
}

/**
 * Records that what is in force was signed anew. How old it is, what is suspended and what is halted stay as they are: only a
 * change of the site's own target is news. Returns the entry's index.
 */
export function renewInForce(batch: Batch, applied: AppliedPolicy): number {
  const { policies } = batch.state;
  const { index } = recordPolicy(
    batch,
    'policy.applied',
    { id: applied.who, role: null },
    {
      ...(applied as unknown as JsonObject),
      previous: applied.environments as unknown as JsonObject,
    },
  );
  policies.activate(applied, policies.age.steps());
  policies.age.advance(batch);
  policies.anchoring.advance(batch, batch.state.time.floor(), batch.state.projections);
  return index;
}

/** Why an update that waited will not be put in force any more. */
export type LapseCode = 'policy.superseded' | 'policy.expired' | 'policy.not_released' | 'policy.defective';

/** Gives up the update that waits: `policy.lapsed`. Nothing, when none does. */
export function lapse(batch: Batch, code: LapseCode, reason: string): void {
  const { held } = batch.state.holds;
  if (held === null) return;
  const { update_id, source, who, site_target } = held.data;
  recordPolicy(batch, 'policy.lapsed', SYSTEM, {
    hold: { id: held.data.hold.id, held: held.index, acts: held.votes.map((vote) => vote.index) },
    update_id,
    source,
    who,
    serial: site_target.serial,
    code,
    reason,
    waited_since: held.since,
  });
}

/** What each environment will run, without the repository's file names. */
export function pinnedOf(target: SiteTarget): Record<string, PinnedBundle> {
  return Object.fromEntries(
    Object.entries(target.environments).map(([environment, { name, version, digest }]) => [
      environment,
      { name, version, digest },
    ]),
  );
}
