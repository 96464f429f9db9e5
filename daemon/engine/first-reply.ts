import type { FirstData, PrintedData } from '../core/create.ts';
import { foldDecision, gatesOf } from '../core/fold.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import type { JsonObject } from '../formats/json.ts';
import { type EngineState, proofPartsOf, type Recorded } from './context.ts';
import type { DraftReply } from './protocol.ts';
import { decisionReply } from './reply.ts';

/**
 * The reply to a decision's creation. An allowed one, the hot path, is printed from the texts that its entry was made
 * of, up to the permit's proof; whatever waits or was denied takes the general way. Both say the same (a test compares
 * them member by member).
 */
export function firstReply(state: EngineState, recorded: Recorded, printed: PrintedData): DraftReply {
  const data = recorded.entry.data as unknown as FirstData;
  if (data.permit === undefined) return decisionReply(state, foldDecision([recorded]), recorded.bytes);
  const permit = proofPartsOf(state, recorded.index, recorded.bytes);
  return { status: 200, body: allowedText(recorded, data, printed), permit };
}

function allowedText(recorded: Recorded, data: FirstData, printed: PrintedData): string {
  const { entry, index } = recorded;
  const { members } = printed;
  const { permit, policy, context, linked_to, authority } = data;
  const at = `"${entry.at}"`;
  return (
    `{"decision_id":"${entry.stream}","policy_version":${text(policy?.version)}` +
    `,"policy_digest":${text(policy?.digest)},"action_digest":${text(permit?.action_digest)}` +
    `,"status":"authorized","action":${members.action}` +
    `,"context":{"actor":${canonicalText({ id: entry.actor.id, role: entry.actor.role })}` +
    `,"environment":${text(context.environment)},"request_source":${text(context.request_source)}` +
    `,"trace":${print(context.trace ?? NO_TRACE)},"labels":${print(context.labels ?? {})}}` +
    `,"policy":{"gates":${print(gatesOf(data))},"exceptions":[]},"risk":${members.risk}` +
    `,"authority":{"required":${print(authority.required)},"received":[],"satisfied":true}` +
    `,"ledger":{"write_state":"confirmed","record_id":${index}}` +
    `,"enforcement":{"default":"deny","result":"allow","allow_if":[],"reasons":${print(data.enforcement.reasons)}}` +
    `,"timestamps":{"created_at":${at},"updated_at":${at}},"expires_at":${text(permit?.expires_at)}` +
    `,"linked_to":${text(linked_to)},"time_trust":"${entry.time_trust}","permit_state":"issued"` +
    `,"outcome":null,"reviews":[]${members.peer === undefined ? '' : `,"peer":${members.peer}`}${members.breakglass === undefined ? '' : `,"breakglass":${members.breakglass}`}${members.shadow === undefined ? '' : `,"shadow":${members.shadow}`},"permit":${members.permit?.slice(0, -1)}`
  );
}

const NO_TRACE = { correlation_id: null, parent_id: null };

function text(value: string | null | undefined): string {
  return canonicalText(value ?? null);
}

function print(value: object): string {
  return canonicalText(value as JsonObject);
}
