import { type HoldVote, jointRoster, judgeVote, siteTargetDigest } from '../../core/hold.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { type Batch, proofOf } from '../context.ts';
import type { HeldUpdate } from '../holds.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { type CountedAct, countSiteAct } from '../site-acts.ts';
import { recordPolicy } from './activate.ts';
import { activateHeld } from './hold.ts';
import { readAct } from './read-act.ts';

/** Acts that did not count are kept up to this many for one update: nobody shall fill the ledger with them. */
const RECORDED_REFUSALS = 50;

/**
 * `policy.release`: a signed act of kind `hold` about the update that waits. Signature → subject and digest, time, nonce →
 * person, role, vote. An approval is `policy.approved`, and the last one that is missing puts the update in force in the
 * same transaction, unless its time is still to come; one rejection ends it (`policy.rejected`).
 */
export function releasePolicy(batch: Batch, call: EngineCall): AfterCommit {
  const submitted = readAct(call.body, ['hold']);
  if (isRefusal(submitted)) return () => problem(submitted);
  const { held } = batch.state.holds;
  const wrong = checkWaiting(batch, held, call.args.id);
  if (held === null || wrong !== null) {
    const refusal = wrong ?? notHeld(call.args.id);
    return () => problem(refusal);
  }
  const counted = judge(batch, call, held);
  if (isRefusal(counted)) return refuseAct(batch, held, submitted, counted);
  return counted.act.answer === 'approve' ? approve(batch, held, counted) : reject(batch, held, counted);
}

function checkWaiting(batch: Batch, held: HeldUpdate | null, id: string | undefined): Refusal | null {
  if (held === null || held.data.hold.id !== id) return notHeld(id);
  const step = batch.state.holds.step(batch, batch.state.policies);
  if (step !== 'expired' && step !== 'not_released') return null;
  return refuse(
    'policy.expired',
    'The time of this update is over, so it cannot be released any more. Nothing was changed; import the newest repository.',
  );
}

function notHeld(id: string | undefined): Refusal {
  return refuse(
    'policy.not_held',
    `No update ${id ?? ''} waits here. Nothing was changed; see "holdfast policy held".`,
  );
}

function judge(batch: Batch, call: EngineCall, held: HeldUpdate): CountedAct | Refusal {
  const { holds, policies } = batch.state;
  const { hold, site_target } = held.data;
  const rosters = holds.rosters(policies, batch);
  const roles = [...new Set(hold.demands.flatMap((demand) => demand.roles))];
  const counted = countSiteAct(
    batch,
    call.body,
    ['hold'],
    () => ({
      subject: hold.id,
      digests: { site_target: siteTargetDigest(site_target) },
      answers: ['approve', 'reject'],
      roles,
      reaches: null,
      uncertain_time: 'reject',
    }),
    jointRoster(hold.demands, rosters),
  );
  if (isRefusal(counted)) return counted;
  const vote = voteOf(counted);
  return (
    judgeVote(vote, counted.act.answer, { demands: hold.demands, votes: held.votes }, rosters) ?? counted
  );
}

function voteOf({ data }: CountedAct): HoldVote {
  return { principal: String(data.principal), role: String(data.role), key: String(data.key) };
}

/** What somebody of the roster signed in vain is on record, like a rejected approval; strangers' acts are not. */
function refuseAct(
  batch: Batch,
  held: HeldUpdate,
  submitted: Exclude<ReturnType<typeof readAct>, Refusal>,
  refusal: Refusal,
): AfterCommit {
  const { holds, policies } = batch.state;
  const { hold } = held.data;
  const owner = jointRoster(hold.demands, holds.rosters(policies, batch))?.byKey(submitted.key) ?? null;
  if (owner === null || held.refused >= RECORDED_REFUSALS) return () => problem(refusal);
  const { index } = recordPolicy(
    batch,
    'approval.rejected',
    { id: owner.id, role: null },
    {
      hold: { id: hold.id },
      transitions: [],
      code: refusal.refused,
      reason: refusal.message,
      act_digest: submitted.digest,
      key: submitted.key,
      principal: owner.id,
    },
  );
  return (state) => problem(refusal, { record_id: index, proof: proofOf(state, index) });
}

function approve(batch: Batch, held: HeldUpdate, { actor, data }: CountedAct): AfterCommit {
  const { holds, policies } = batch.state;
  const { id } = held.data.hold;
  const { index } = recordPolicy(batch, 'policy.approved', actor, {
    ...data,
    hold: { id, held: held.index },
  });
  const released = holds.step(batch, policies) === 'apply';
  if (!released) {
    const missing = holds.missing(policies, batch);
    const state = missing.length > 0 ? 'held' : 'scheduled';
    const { effective_at } = held.data.hold;
    return (after) =>
      reply(200, { id, state, missing, effective_at, record_id: index, proof: proofOf(after, index) });
  }
  const state = activateHeld(batch, actor) ? 'applied' : 'lapsed';
  const record_id = batch.events.at(-1)?.index ?? index;
  const { environments } = held.data;
  return (after) =>
    reply(200, { id, state, missing: [], environments, record_id, proof: proofOf(after, record_id) });
}

function reject(batch: Batch, held: HeldUpdate, { act, actor, data }: CountedAct): AfterCommit {
  const { hold, update_id, source, who, site_target } = held.data;
  const because = act.reason === '' ? '' : `: ${act.reason}`;
  const { index } = recordPolicy(batch, 'policy.rejected', actor, {
    ...data,
    hold: { id: hold.id, held: held.index, acts: held.votes.map((vote) => vote.index) },
    update_id,
    source,
    who,
    serial: site_target.serial,
    code: 'policy.rejected',
    reason: `${actor.id} (${actor.role}) rejected it${because}`,
  });
  return (state) =>
    reply(200, {
      id: hold.id,
      state: 'rejected',
      missing: [],
      record_id: index,
      proof: proofOf(state, index),
    });
}
