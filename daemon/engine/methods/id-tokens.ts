import type { AcceptedAct } from '../../core/approve.ts';
import type { DecisionRecord } from '../../core/fold.ts';
import { type CheckedIdToken, judgeIdToken } from '../../core/id-token.ts';
import { isRefusal, type Refusal } from '../../core/refusal.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, loadDecision } from '../context.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';
import type { Reading } from '../time.ts';

/** What was found about the ID token beside an act; null when there was none. Text is a token that nobody verified. */
export function idTokenOf({
  id_token: given,
}: {
  id_token?: string | CheckedIdToken;
}): CheckedIdToken | null {
  if (given === undefined) return null;
  return typeof given === 'string' ? { failed: 'nothing here could verify it.' } : given;
}

/** The person again, with what is to be recorded of their ID token; or the refusal. Somebody's "no" needs none. */
export function judgeToken(
  batch: Batch,
  { decision }: DecisionRecord,
  submitted: { act: { answer: string }; id_token: CheckedIdToken | null },
  person: AcceptedAct,
  pinned: LoadedPolicy,
): AcceptedAct | Refusal {
  const { id_token: token, act } = submitted;
  if (act.answer !== 'approve') return person;
  const current = batch.state.policies.active(decision.context.environment) ?? pinned;
  const judged = judgeIdToken(person, token, {
    pinned: pinned.compiled.bundle,
    current: current.compiled.bundle,
  });
  if (judged === null) return person;
  return isRefusal(judged) ? judged : { ...person, id_token: judged };
}

/** The member of an entry that says so; nothing when there was no token. */
export function idTokenData({ id_token }: AcceptedAct): JsonObject {
  return id_token === undefined ? {} : { id_token };
}

/** `decisions.token_rules`: what an ID token beside an approval of this decision is held against. For the daemon itself. */
export function tokenRules(state: EngineState, { args }: EngineCall, time: Reading): EngineReply {
  const record = loadDecision(state, args.id ?? '');
  if (record === null) {
    return problem(unknownDecision(state.former, args.id));
  }
  const policy = state.policies.active(record.decision.context.environment);
  const { oidc = null } = policy?.compiled.bundle ?? {};
  return reply(200, { oidc, now: time.now, time_believed: time.trust !== 'uncertain' });
}
