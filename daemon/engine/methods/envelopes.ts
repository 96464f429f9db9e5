import type { Decision } from '../../core/decision.ts';
import {
  type EnvelopeAnswer,
  envelopeDigests,
  envelopeRoles,
  type FieldState,
  judgeEnvelopeAct,
} from '../../core/envelope-act.ts';
import { isRefusal, refuse } from '../../core/refusal.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, loadDecision, proofOf } from '../context.ts';
import { ENVELOPE_STREAM, fieldStates, openEnvelope, shredEnvelopes } from '../envelopes.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { countSiteAct, sitePolicy } from '../site-acts.ts';
import { discloseLedger } from './disclose.ts';
import { findDecision, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';
import { holdRefusal } from './retention-holds.ts';

const ANSWERS: readonly EnvelopeAnswer[] = ['shred', 'withhold', 'release'];

/** `envelopes.get`: which fields of a decision are sensitive, and how each stands. No value. */
export function getEnvelope(state: EngineState, { args }: EngineCall): EngineReply {
  const record = loadDecision(state, args.id ?? '');
  if (record === null) return problem(unknownDecision(state.former, args.id));
  const { decision } = record;
  const fields = [...fieldStates(state, decision)].map(([field, stands]) => ({ field, state: stands }));
  const { privacy } = sitePolicy(state.policies)?.compiled.bundle ?? {};
  return reply(200, {
    decision_id: decision.decision_id,
    action_digest: decision.action_digest,
    environment: decision.context.environment,
    record_id: record.first_index,
    fields,
    roles: Object.fromEntries(ANSWERS.map((answer) => [answer, [...envelopeRoles(privacy, answer)]])),
  });
}

/**
 * `envelopes.change`: a signed act that destroys values of a decision (`shred`), keeps them from being shown (`withhold`), or
 * takes that back (`release`). Commitments, proofs and verdicts stay what they are.
 */
export function changeEnvelope(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if (isRefusal(found)) return refused(found);
  const { decision } = found;
  const { fields = null } = JSON.parse(call.body ?? '{}') as { fields?: string[] | null };
  const policy = sitePolicy(batch.state.policies);
  const { action, context } = decision;
  const counted = countSiteAct(
    batch,
    call.body,
    ['shred'],
    (act): ExpectedAct => ({
      subject: decision.decision_id,
      digests: envelopeDigests(decision, fields),
      answers: ANSWERS,
      roles: envelopeRoles(policy?.compiled.bundle.privacy, act.answer),
      reaches: { class: action.class, environment: context.environment, target: action.target },
      uncertain_time: 'reject',
    }),
  );
  if (isRefusal(counted)) return refused(counted);
  const answer = counted.act.answer as EnvelopeAnswer;
  const states = fieldStates(batch.state, decision);
  const held = answer === 'shred' ? holdRefusal(batch, decision.decision_id) : null;
  const wrong = held ?? judgeEnvelopeAct(answer, decision, states, fields);
  if (wrong !== null) return refused(wrong);
  const evidence = { ...counted.data, ...callerData(batch, call) };
  const index = record(batch, answer, { decision, fields, states, actor: counted.actor, evidence });
  const { decision_id } = decision;
  return (state) =>
    reply(200, { decision_id, answer, fields, record_id: index, proof: proofOf(state, index) });
}

function record(
  batch: Batch,
  answer: EnvelopeAnswer,
  change: {
    decision: Decision;
    fields: string[] | null;
    states: ReadonlyMap<string, FieldState>;
    actor: { id: string | null; role: string | null };
    evidence: JsonObject;
  },
): number {
  const { decision, fields, states, actor, evidence } = change;
  const id = decision.decision_id;
  const reason = String(evidence.reason);
  if (answer === 'shred') {
    const all = fields === null || [...states.keys()].every((field) => fields.includes(field));
    const why = { actor, reason, evidence, always: true, ...(all ? {} : { fields }) };
    const shredded = shredEnvelopes(batch, [id], why);
    if (shredded === null) throw new Error(`envelopes: shredding ${id} left no entry`);
    return shredded.index;
  }
  const moved = [...states].filter(([field]) => fields === null || fields.includes(field));
  const from: FieldState = answer === 'withhold' ? 'sealed' : 'withheld';
  return batch.record(
    ENVELOPE_STREAM,
    answer === 'withhold' ? 'envelope.withheld' : 'envelope.released',
    actor,
    {
      ...evidence,
      decisions: [id],
      fields: moved.flatMap(([field, state]) => (state === from ? field : [])),
      reason,
    },
  ).index;
}

/**
 * `envelopes.disclose`: salt and value of sensitive fields, for somebody who may read raw values. The read is on record, and
 * durable, before anything is opened. What is withheld or destroyed is not shown.
 */
export function discloseFields(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if (isRefusal(found)) return refused(found);
  const { decision } = found;
  const { fields, ...reading } = JSON.parse(call.body ?? '{}') as {
    fields: string[];
    [member: string]: unknown;
  };
  const states = fieldStates(batch.state, decision);
  const closed = fields.find((field) => states.get(field) !== 'sealed');
  if (closed !== undefined) {
    const stands = states.get(closed);
    const words = stands === undefined ? 'is no sensitive field' : `is ${stands}`;
    return refused(
      refuse(
        stands === undefined ? 'envelope.no_field' : 'envelope.wrong_state',
        `${closed.slice(0, 64)} ${words} in ${decision.decision_id}; nothing was shown or recorded.`,
      ),
    );
  }
  const subject = { what: 'field', decision_id: decision.decision_id };
  const read = discloseLedger(batch, {
    ...call,
    body: JSON.stringify({ ...reading, right: 'raw', subject }),
  });
  const { first_index } = found;
  return (state) => {
    const answer = read(state);
    if (answer.status !== 200) return answer;
    const values = openEnvelope(state, decision.decision_id) ?? {};
    return reply(200, {
      decision_id: decision.decision_id,
      read: JSON.parse(String(answer.body)),
      values: Object.fromEntries(
        fields.flatMap((field) => (values[field] === undefined ? [] : [[field, values[field]]])),
      ),
      proof: proofOf(state, first_index),
    });
  };
}
