import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { EntryActor } from '../../formats/entry.ts';
import { RETENTION_STREAM } from '../../ledger/segments.ts';
import { type Batch, proofOf } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { sitePolicy } from '../site-acts.ts';
import { findDecision, type NamedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

/** Why nothing of a decision may be destroyed: somebody held it; null when nobody does. */
export function holdRefusal({ state }: Batch, decision: string): Refusal | null {
  if (state.projections.standing('legal_hold', decision)?.state !== 'held') return null;
  const words = `${decision} is held, so nothing of it may be destroyed. Nothing was changed. Whoever held it can release it: holdfast ledger release.`;
  return refuse('retention.held', words);
}

interface HoldBody {
  decision: string;
  reason: string;
  actor?: NamedActor;
}

/** `retention.hold`: what tells of a decision stays where it is, however old it is, until it is released. */
export function holdDecision(batch: Batch, call: EngineCall): AfterCommit {
  const { decision } = JSON.parse(call.body ?? '{}') as HoldBody;
  const found = findDecision(batch, decision);
  if (isRefusal(found)) return refused(found);
  if (batch.state.projections.standing('legal_hold', decision)?.state === 'held')
    return refused(refuse('retention.held', `${decision} is held already. Nothing was changed.`));
  return recordHold(batch, call, 'retention.held');
}

/** `retention.release`: takes a hold back. */
export function releaseDecision(batch: Batch, call: EngineCall): AfterCommit {
  const { decision } = JSON.parse(call.body ?? '{}') as HoldBody;
  if (batch.state.projections.standing('legal_hold', decision)?.state !== 'held')
    return refused(refuse('retention.not_held', `${decision} is not held. Nothing was changed.`));
  return recordHold(batch, call, 'retention.released');
}

function recordHold(
  batch: Batch,
  call: EngineCall,
  type: 'retention.held' | 'retention.released',
): AfterCommit {
  const { decision, reason, actor } = JSON.parse(call.body ?? '{}') as HoldBody;
  const { peers, policies } = batch.state;
  const borrowed = peers.nameRefusal(call.peer, actor?.id ?? null, batch);
  if (borrowed !== null) return refused(borrowed);
  const { secrets } = sitePolicy(policies)?.compiled ?? {};
  const { index } = batch.record(RETENTION_STREAM, type, keeperOf(actor, batch), {
    decision,
    reason: recordableText(reason, secrets),
    ...callerData(batch, call),
  });
  return (state) =>
    reply(200, { decision, held: type === 'retention.held', index, proof: proofOf(state, index) });
}

/** Who says to have acted, without a signature. */
export function keeperOf(actor: NamedActor | undefined, { state }: Batch): EntryActor {
  const { secrets } = sitePolicy(state.policies)?.compiled ?? {};
  if (actor === undefined) return { id: null, role: 'operator' };
  return { id: recordableText(actor.id, secrets), role: actor.role ?? null };
}
