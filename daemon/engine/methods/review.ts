import { judgeReviewer } from '../../core/approve.ts';
import type { DecisionRecord } from '../../core/fold.ts';
import { assertTransition, checkLifecycle } from '../../core/lifecycle.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { rosterAt } from '../../core/roster.ts';
import type { EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch } from '../context.ts';
import { judgeKeyUse } from '../key-use.ts';
import type { EngineCall } from '../protocol.ts';
import type { AfterCommit } from '../reply.ts';
import { changed, findDecision, freeText, type NamedActor, namedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';
import { actData, readAct, type SubmittedAct } from './read-act.ts';

/** `decisions.review`: somebody looked at what was executed. Signed, or plain from the operator socket. */
export function reviewDecision(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if ('refused' in found) return refused(found);
  const { decision } = found;
  const wrong = checkLifecycle('review', decision);
  if (wrong !== null) return refused(wrong);
  const body = JSON.parse(call.body ?? '{}') as { actor?: NamedActor; note?: string; act?: string };
  assertTransition('review', 'decision.reviewed', ['reviewed']);
  if (body.act !== undefined) {
    const signed = signedAct(batch, found, call.body, 'review');
    if (isRefusal(signed)) return refused(signed);
    const { data, actor, submitted } = signed;
    const note = submitted.act.reason;
    batch.record(decision.decision_id, 'decision.reviewed', actor, {
      transitions: ['reviewed'],
      ...data,
      note,
    });
    return changed(batch, decision.decision_id);
  }
  if (body.actor === undefined || body.actor.id === decision.context.actor.id) {
    return refused(refuse('approval.self', 'A review needs a named reviewer other than the requester.'));
  }
  const borrowed = batch.state.peers.nameRefusal(call.peer, body.actor.id, batch);
  if (borrowed !== null) return refused(borrowed);
  const actor = namedActor(batch, found, body.actor);
  batch.record(decision.decision_id, 'decision.reviewed', actor, {
    transitions: ['reviewed'],
    act: null,
    principal: actor.id,
    note: freeText(batch, found, body.note ?? ''),
    ...callerData(batch, call),
  });
  return changed(batch, decision.decision_id);
}

/** `decisions.reconcile`: a person states, signed, what really became of an execution whose outcome was unknown. */
export function reconcileDecision(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if ('refused' in found) return refused(found);
  const { decision } = found;
  const wrong = checkLifecycle('reconcile', decision);
  if (wrong !== null) return refused(wrong);
  const signed = signedAct(batch, found, call.body, 'reconcile');
  if (isRefusal(signed)) return refused(signed);
  const { submitted, data, actor } = signed;
  const result = submitted.act.answer;
  if (result !== 'succeeded' && result !== 'failed') {
    return refused(
      refuse('approval.malformed', 'A reconciliation answers "succeeded" or "failed". Nothing was recorded.'),
    );
  }
  assertTransition('reconcile', 'decision.reconciled', []);
  batch.record(decision.decision_id, 'decision.reconciled', actor, {
    transitions: [],
    ...data,
    result,
    note: submitted.act.reason,
  });
  return changed(batch, decision.decision_id);
}

function signedAct(
  batch: Batch,
  record: DecisionRecord,
  body: string | null,
  kind: 'review' | 'reconcile',
): { submitted: SubmittedAct; data: JsonObject; actor: EntryActor } | Refusal {
  const submitted = readAct(body, [kind]);
  if ('refused' in submitted) return submitted;
  const { decision } = record;
  const { policies, projections, site } = batch.state;
  const policy = policies.active(decision.context.environment);
  if (policy === null) return refuse('policy.none', 'No policy is in force, so no signature can be judged.');
  const person = judgeReviewer({
    site,
    record,
    act: submitted.act,
    key: submitted.key,
    pinned: policy.roster,
    current: rosterAt(policy.roster, batch),
    nonce_used: projections.nonceUsed(submitted.act.nonce),
    now_ms: batch.now,
    time_trust: batch.trust,
  });
  if (isRefusal(person)) return person;
  const unfit = judgeKeyUse(batch, submitted, policy);
  if (unfit !== null) return unfit;
  return { submitted, data: actData(submitted, person), actor: { id: person.principal, role: person.role } };
}
