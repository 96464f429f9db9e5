import type { Refusal, RefusalCode } from '../../core/refusal.ts';
import type { EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, proofOf } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, problem } from '../reply.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';
import { callerData } from './peers.ts';
import { readAct } from './read-act.ts';

/** All refused attempts stand in one stream: the session or grant that they wanted was never begun. */
const STREAM = 'breakglass';
/** A copy of an act that counted says nothing new, and anybody can send it. */
const NOT_WORTH_AN_ENTRY: readonly RefusalCode[] = ['approval.nonce_used', 'breakglass.exists'];

/**
 * Answers a refused attempt on the glass. When it was signed by a key of the roster it is put on record as
 * `breakglass.refused`: somebody of the site's own tried. Strangers' attempts leave no entry.
 */
export function refuseAct(
  batch: Batch,
  call: EngineCall,
  policy: LoadedPolicy | null,
  refusal: Refusal,
): AfterCommit {
  const submitted = readAct(call.body, ['breakglass', 'grant']);
  if ('refused' in submitted) return () => problem(refusal);
  const { act, digest, key } = submitted;
  const member = policy?.roster.byKey(key) ?? null;
  if (member === null) return () => problem(refusal);
  return recordRefusal(batch, call, refusal, {
    actor: { id: member.id, role: act.role },
    data: { act_digest: digest, key, principal: member.id, subject: act.subject },
  });
}

/** Records a refused attempt, a bounded number of them within an hour, and answers it. */
export function recordRefusal(
  batch: Batch,
  call: EngineCall,
  refusal: Refusal,
  { actor, data }: { actor: EntryActor; data: JsonObject },
): AfterCommit {
  if (NOT_WORTH_AN_ENTRY.includes(refusal.refused) || !batch.state.breakglass.recordsRefusal(batch)) {
    return () => problem(refusal);
  }
  const { index } = batch.record(STREAM, 'breakglass.refused', actor, {
    ...data,
    code: refusal.refused,
    reason: refusal.message,
    ...callerData(batch, call),
  });
  return (state) => problem(refusal, { record_id: index, proof: proofOf(state, index) });
}
