import { isoTime } from '../../core/create.ts';
import { type HoldPlace, holdDemands, missingWords, siteTargetDigest } from '../../core/hold.ts';
import { type Refusal, refuse } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import type { HeldData, HeldUpdate, HoldTerms, Instant } from '../holds.ts';
import type { AppliedPolicy } from '../policies.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { lapse, putInForce, recordPolicy } from './activate.ts';

/** An update that was found good and is newer than what is in force. */
export interface OfferedUpdate {
  applied: AppliedPolicy;
  /** RFC 3339; when the first of its metadata expires, null where nobody says. */
  expires_at: string | null;
}

/** Why an update cannot take the place of the one that waits, or of one that was turned down; null when it can. */
export function checkOffered(
  state: EngineState,
  { update_id, site_target }: Omit<AppliedPolicy, 'environments'>,
): Refusal | null {
  const { high_water, rejected, held } = state.holds;
  const target = siteTargetDigest(site_target);
  if (rejected?.target === target) {
    return refuse(
      'policy.rejected',
      `This update (serial ${site_target.serial}) was rejected here by ${rejected.by} at ${rejected.at}. Nothing was changed; headquarters has to publish another one.`,
    );
  }
  if (high_water === null || site_target.serial > high_water.serial || held?.data.update_id === update_id)
    return null;
  if (site_target.serial === high_water.serial && target === high_water.target) return null;
  return refuse(
    'policy.not_newer',
    `The update has serial ${site_target.serial}; serial ${high_water.serial} was brought here before, with other contents. Nothing was changed.`,
  );
}

/**
 * Has an update wait that the rules do not let in yet: `policy.held`. Null when nothing holds it. The same update signed
 * anew (a later timestamp, say) goes on waiting in place of the one before, with the signatures that it has; any other
 * takes its place and starts from nothing.
 */
export function holdUpdate(batch: Batch, offered: OfferedUpdate): AfterCommit | null {
  const { holds } = batch.state;
  const { held, high_water } = holds;
  const { applied } = offered;
  if (held?.data.update_id === applied.update_id)
    return (state) => heldReply(state, held, batch, { unchanged: true });
  const terms = termsOf(batch, offered);
  if (terms === null) return null;
  const renews =
    held !== null && siteTargetDigest(held.data.site_target) === siteTargetDigest(applied.site_target);
  if (!renews) supersede(batch, applied);
  const hold: HoldTerms = renews
    ? { ...terms, id: held.data.hold.id, wait_until: held.data.hold.wait_until }
    : terms;
  const data: HeldData = {
    ...applied,
    hold,
    code: hold.demands.length > 0 ? 'policy.held' : 'policy.scheduled',
    reason: reasonOf(hold),
    previous: batch.state.policies.applied?.environments ?? null,
  };
  const { index } = recordPolicy(
    batch,
    'policy.held',
    { id: applied.who, role: null },
    data as unknown as JsonObject,
  );
  const now = batch.state.holds.held;
  if (now === null) throw new Error('hold: what was just held does not wait');
  const forget = forgettable(batch, high_water?.update_id);
  return (state) => heldReply(state, now, batch, { unchanged: false, record_id: index, forget });
}

/** Gives up what waits, because something newer is there. */
export function supersede(batch: Batch, by: AppliedPolicy): void {
  lapse(
    batch,
    'policy.superseded',
    `A newer update (serial ${by.site_target.serial}) took its place before it was put in force.`,
  );
}

/** Updates whose files nobody needs once `batch` is committed: what was offered before and never came into force. */
export function forgettable(batch: Batch, update_id: string | undefined): string[] {
  const { policies, holds } = batch.state;
  const needed = [policies.applied?.update_id, holds.high_water?.update_id];
  return update_id === undefined || needed.includes(update_id) ? [] : [update_id];
}

function termsOf(batch: Batch, { applied, expires_at }: OfferedUpdate): HoldTerms | null {
  const { demands, max_wait_ms } = holdDemands(placesOf(batch.state, applied));
  const { effective_at = null } = applied.site_target;
  const isDue =
    effective_at === null || (batch.trust !== 'uncertain' && Date.parse(effective_at) <= batch.now);
  if (demands.length === 0 && isDue) return null;
  return {
    id: applied.update_id,
    demands,
    wait_until: max_wait_ms === null ? null : isoTime(batch.now + max_wait_ms),
    effective_at: isDue ? null : effective_at,
    expires_at,
  };
}

function placesOf({ policies }: EngineState, applied: AppliedPolicy): HoldPlace[] {
  const current = policies.applied?.environments ?? {};
  const names = [...new Set([...Object.keys(current), ...Object.keys(applied.environments)])].sort();
  return names.map((environment) => {
    const before = current[environment];
    const after = applied.environments[environment];
    return {
      environment,
      before:
        before === undefined
          ? null
          : { digest: before.digest, bundle: policies.active(environment)?.compiled.bundle ?? null },
      after:
        after === undefined
          ? null
          : { digest: after.digest, bundle: policies.load(after.digest).compiled.bundle },
    };
  });
}

function reasonOf({ demands, wait_until, effective_at }: HoldTerms): string {
  const needs = missingWords(demands.map((demand) => ({ demand, missing: demand.min_signatures })));
  const until = wait_until === null ? '' : `, until ${wait_until}`;
  return [
    needs.length === 0 ? '' : `It waits for ${needs.join(' and ')}${until}.`,
    effective_at === null ? '' : `It takes effect at ${effective_at}, not before.`,
  ]
    .filter((sentence) => sentence !== '')
    .join(' ');
}

/** The tick's part: puts the waiting update in force when its moment has come, or gives it up. */
export function settleHold(batch: Batch): void {
  const { holds, policies } = batch.state;
  const step = holds.step(batch, policies);
  if (step === 'apply') activateHeld(batch, { id: null, role: 'system' });
  else if (step === 'expired')
    lapse(
      batch,
      'policy.expired',
      'Its signed metadata expired before it could be put in force. Bring the newest repository.',
    );
  else if (step === 'not_released')
    lapse(
      batch,
      'policy.not_released',
      `Nobody released it in time; missing: ${holds.missing(policies, batch).join(' and ')}.`,
    );
}

/**
 * Puts the waiting update in force, citing its entry and the signatures that released it. False when its bundles cannot be
 * used (any more): then it is given up.
 */
export function activateHeld(batch: Batch, actor: { id: string | null; role: string | null }): boolean {
  const { holds, policies } = batch.state;
  const { held } = holds;
  if (held === null) throw new Error('hold: nothing waits');
  const { hold, code: _code, reason: _reason, previous: _previous, ...update } = held.data;
  try {
    for (const { digest } of Object.values(update.environments)) policies.admit(digest, true);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    lapse(batch, 'policy.defective', `${error.message} The policy in force stays as it was.`);
    return false;
  }
  const acts = held.votes.map((vote) => vote.index);
  putInForce(batch, { ...update, hold: { id: hold.id, held: held.index, acts } }, actor);
  return true;
}

function heldReply(
  state: EngineState,
  held: HeldUpdate,
  time: Instant,
  {
    unchanged,
    record_id = null,
    forget = [],
  }: { unchanged: boolean; record_id?: number | null; forget?: string[] },
): EngineReply {
  const proof = record_id === null ? {} : { proof: proofOf(state, record_id) };
  return reply(200, {
    applied: false,
    held: true,
    unchanged,
    record_id,
    forget,
    hold: heldSummary(state, held, time),
    ...proof,
  });
}

/** The waiting update as others see it. */
export interface HeldSummary {
  /** What `policy release` and the signed acts call it. */
  id: string;
  update_id: string;
  serial: number;
  since: string;
  source: string;
  who: string | null;
  /** What a signature binds, and what it is the digest of. */
  site_target_digest: string;
  site_target: HeldData['site_target'];
  environments: HeldData['environments'];
  demands: HoldTerms['demands'];
  /** Who must still sign, in words; empty when only its time is awaited. */
  missing: string[];
  votes: { principal: string; role: string; key: string; at: string }[];
  wait_until: string | null;
  effective_at: string | null;
  expires_at: string | null;
  flips: HeldData['flips'] | null;
  record_id: number;
}

/** `HeldSummary` of the update that waits. */
function heldSummary(
  { holds, policies }: EngineState,
  { index, since, data, votes }: HeldUpdate,
  time: Instant,
): HeldSummary {
  const { hold, update_id, site_target, environments, source, who, flips = null } = data;
  return {
    id: hold.id,
    update_id,
    serial: site_target.serial,
    since,
    source,
    who,
    site_target_digest: siteTargetDigest(site_target),
    site_target,
    environments,
    demands: hold.demands,
    missing: holds.missing(policies, time),
    votes: votes.map(({ principal, role, key, at }) => ({ principal, role, key, at })),
    wait_until: hold.wait_until,
    effective_at: hold.effective_at,
    expires_at: hold.expires_at,
    flips,
    record_id: index,
  };
}

/** `policy.held`: the update that waits to be put in force, `{"held": null}` when none does. */
export function getHeld(state: EngineState, _call: EngineCall, time: Instant): EngineReply {
  const { held } = state.holds;
  return reply(200, { held: held === null ? null : heldSummary(state, held, time) });
}

/** For `status`: what waits, in short; null when nothing does. */
export function heldBrief(state: EngineState | null, time: Instant): object | null {
  const held = state?.holds.held ?? null;
  if (state === null || held === null) return null;
  const { id, serial, since, missing, wait_until, effective_at, expires_at } = heldSummary(state, held, time);
  return { id, serial, since, missing, wait_until, effective_at, expires_at };
}
