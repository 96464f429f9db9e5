import type { DecisionRecord } from '../../core/fold.ts';
import { assertTransition, checkLifecycle } from '../../core/lifecycle.ts';
import { type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch } from '../context.ts';
import { OverdueJudge } from '../expiry.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, decisionReply, problem } from '../reply.ts';
import { makeDueAnchor, recordOverdue } from './anchor-clock.ts';
import { recordBreakglassDue } from './breakglass-clock.ts';
import { settleHold } from './hold.ts';
import { callerData } from './peers.ts';
import { recordAge, systemAlive } from './system.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };

/** The decision that a call names; a refusal when there is none. */
export function findDecision(batch: Batch, id: string | undefined): DecisionRecord | Refusal {
  const record = id === undefined ? null : batch.decision(id);
  return record ?? unknownDecision(batch.state.former, id);
}

/** Re-reads a decision after an entry was appended to it; the reply is rendered after the commit. */
export function changed(batch: Batch, id: string): AfterCommit {
  const record = batch.decision(id);
  if (record === null) throw new Error(`engine: ${id} vanished`);
  return (state) => decisionReply(state, record);
}

/**
 * Free text about a decision as it may be recorded. What people and targets write is looked through for secrets as a
 * request is; what they did counts all the same.
 */
export function freeText(batch: Batch, { decision }: DecisionRecord, text: string): string {
  const policy = batch.state.policies.active(decision.context.environment);
  return recordableText(text, policy?.compiled.secrets);
}

/** Who says to have acted, without a signature. */
export function namedActor(batch: Batch, record: DecisionRecord, named: NamedActor): EntryActor {
  const { id, role = null } = named;
  return { id: freeText(batch, record, id), role: role === null ? null : freeText(batch, record, role) };
}

export interface NamedActor {
  id: string;
  role?: string | null;
}

export function refused(refusal: Refusal, extra: JsonObject = {}): AfterCommit {
  return () => problem(refusal, extra);
}

/** `decisions.cancel`: by the requester (or an operator on the operator socket), while nothing has been redeemed. */
export function cancelDecision(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if ('refused' in found) return refused(found);
  const { actor, reason } = JSON.parse(call.body ?? '{}') as { actor: NamedActor; reason: string };
  const { decision } = found;
  const borrowed = batch.state.peers.nameRefusal(call.peer, actor.id, batch);
  if (borrowed !== null) return refused(borrowed);
  const operates = call.peer.socket === 'operator' && batch.state.peers.isA('operator', call.peer, batch);
  if (!operates && actor.id !== decision.context.actor.id) {
    return refused(
      refuse(
        'decision.not_requester',
        `Only ${decision.context.actor.id ?? 'its requester'} or an operator can cancel ${decision.decision_id}. Nothing was changed.`,
      ),
    );
  }
  const wrong = checkLifecycle('cancel', decision);
  if (wrong !== null) return refused(wrong);
  assertTransition('cancel', 'decision.cancelled', ['cancelled']);
  batch.record(decision.decision_id, 'decision.cancelled', namedActor(batch, found, actor), {
    transitions: ['cancelled'],
    reason: freeText(batch, found, reason),
    ...callerData(batch, call),
  });
  return changed(batch, decision.decision_id);
}

/**
 * `system.tick`: expires the decisions that are named and really due, each with its own `decision.expired` entry, and
 * records how the policies in force have aged, and what of break-glass is over or overdue.
 */
export function tick(batch: Batch, call: EngineCall): AfterCommit {
  const { ids, beat = null } = JSON.parse(call.body ?? '{}') as { ids: string[]; beat?: number | null };
  const judge = new OverdueJudge(batch.state, batch, true);
  let expired = 0;
  for (const id of ids) {
    const row = batch.state.projections.row(id);
    if (row === null || !judge.isOver(row)) continue;
    assertTransition('expire', 'decision.expired', ['expired']);
    batch.record(id, 'decision.expired', SYSTEM, {
      transitions: ['expired'],
      reason:
        row.permit === 'issued' ? 'the permit was not redeemed in time' : 'authority did not arrive in time',
    });
    expired++;
  }
  recordAge(batch);
  makeDueAnchor(batch);
  recordOverdue(batch);
  if (beat !== null) systemAlive(batch, beat);
  recordBreakglassDue(batch);
  settleHold(batch);
  const body = JSON.stringify({ expired });
  return () => ({ status: 200, body });
}
