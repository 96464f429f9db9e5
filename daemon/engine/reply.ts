import type { Decision } from '../core/decision.ts';
import type { DecisionRecord } from '../core/fold.ts';
import { REFUSALS, type Refusal, type RefusalCode } from '../core/refusal.ts';
import type { JsonObject } from '../formats/json.ts';
import { type EngineState, proofOf } from './context.ts';
import type { DraftReply, EngineReply, Problem } from './protocol.ts';

/** A write's answer, made only after its batch is durable: proofs and checkpoint do not exist before. */
export type AfterCommit = (state: EngineState) => DraftReply;

export function reply(status: number, body: object): EngineReply {
  return { status, body: JSON.stringify(body) };
}

/** RFC 9457 problem document for a refusal; `extra` members ride along. */
export function problem(refusal: Refusal, extra: JsonObject = {}): EngineReply {
  const status = REFUSALS[refusal.refused];
  const body: Problem = {
    type: `urn:holdfast:problem:${refusal.refused}`,
    title: titleOf(refusal.refused),
    status,
    code: refusal.refused,
    detail: refusal.message,
    ...extra,
  };
  return { status, body: JSON.stringify(body) };
}

function titleOf(code: RefusalCode): string {
  const words = code.replace('.', ': ').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const PENDING = ['evaluated', 'pending_authority'];

/** 202 while a decision waits for authority, else 200. */
export function statusOf({ status }: Pick<Decision, 'status'>): number {
  return PENDING.includes(status) ? 202 : 200;
}

/**
 * Decision with its proofs: `permit.proof` whenever there is a permit; `ledger.proof` unless the newest entry is the
 * permit itself. 202 while the decision waits, 200 otherwise. `written` are the newest entry's bytes, if at hand.
 */
export function decisionReply(
  state: EngineState,
  record: DecisionRecord,
  written: Uint8Array | null = null,
): EngineReply {
  const { decision, permit_index } = record;
  const newest = decision.ledger.record_id;
  const status = statusOf(decision);
  if (decision.permit !== undefined && permit_index !== null) {
    const permit = {
      ...decision.permit,
      proof: proofOf(state, permit_index, newest === permit_index ? written : null),
    };
    const ledger =
      newest === permit_index ? decision.ledger : { ...decision.ledger, proof: proofOf(state, newest) };
    return reply(status, { ...decision, ledger, permit });
  }
  return reply(status, {
    ...decision,
    ledger: { ...decision.ledger, proof: proofOf(state, newest, written) },
  });
}
