import { type Anomaly, escalations } from '../../core/anomaly.ts';
import { type AcceptedAct, completesAuthority, groupOf, judgeAct } from '../../core/approve.ts';
import { counting } from '../../core/counting.ts';
import { issuePermit } from '../../core/create.ts';
import type { Decision, DecisionStatus } from '../../core/decision.ts';
import { exceptionEnd, exceptionsUntil } from '../../core/exception.ts';
import type { DecisionRecord } from '../../core/fold.ts';
import { assertTransition, checkLifecycle, type LifecycleCommand } from '../../core/lifecycle.ts';
import { ttlUnder } from '../../core/lift.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { type Roster, rosterAt } from '../../core/roster.ts';
import type { EntryActor, EntryType } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Permit } from '../../formats/permit.ts';
import { anomaliesOf, recordAnomalies } from '../anomalies.ts';
import { type Batch, proofOf } from '../context.ts';
import { grantState } from '../grants.ts';
import { judgeKeyUse, keyUseData } from '../key-use.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, problem } from '../reply.ts';
import { checkBreakglass } from './breakglass-clock.ts';
import { judgeToken } from './id-tokens.ts';
import { changed, findDecision, refused } from './lifecycle.ts';
import { actData, readAct, type SubmittedAct } from './read-act.ts';

const DEFAULT_ACTS_PER_DECISION = 100;

/**
 * `decisions.approve`: a signed approval, rejection or exception for a decision. Verified before it counts: signature →
 * subject, time, nonce → person, role, scope. What fails is recorded as `approval.rejected` and the decision stays
 * pending; the act that satisfies authority makes the entry that carries the permit.
 */
export function approveDecision(batch: Batch, call: EngineCall): AfterCommit {
  const found = findDecision(batch, call.args.id);
  if ('refused' in found) return refused(found);
  const submitted = readAct(call.body, ['approval', 'exception']);
  if ('refused' in submitted) return refused(submitted);
  const command = submitted.act.kind === 'exception' ? 'except' : 'approve';
  const wrong =
    checkLifecycle(command, found.decision) ??
    checkPatience(batch, found) ??
    checkBreakglass(batch, found.decision.breakglass?.id);
  if (wrong !== null) return tooLate(batch, found, submitted, command, wrong);
  const many = checkLimit(batch, found, submitted);
  if (many !== null) return refused(many);
  const judged = judge(batch, found, submitted);
  if (isRefusal(judged)) return reject(batch, found, submitted, command, judged);
  const anomalies = strikes(batch, found.decision, submitted, judged);
  const barring = anomalies.find(({ rule }) => rule.effect === 'reject');
  if (barring !== undefined) {
    return reject(batch, found, submitted, command, outOfOrder(barring), anomalies);
  }
  const counted = { submitted, person: judged, anomalies };
  return submitted.act.kind === 'exception' ? except(batch, found, counted) : accept(batch, found, counted);
}

/** An act that counts, and the rules that it strikes all the same. */
interface Counted {
  submitted: SubmittedAct;
  person: AcceptedAct;
  anomalies: Anomaly[];
}

/** By the rules of the policy that the decision is pinned to, like everything about it. */
function strikes(
  batch: Batch,
  decision: Decision,
  { act }: SubmittedAct,
  { principal }: AcceptedAct,
): Anomaly[] {
  if (decision.policy_digest === null) return [];
  return anomaliesOf(batch, batch.state.policies.load(decision.policy_digest), decision, { act, principal });
}

function outOfOrder({ rule, words }: Anomaly): Refusal {
  return refuse(
    'approval.anomaly',
    `The policy's rule ${rule.id} keeps this act from counting: ${words}. The decision still waits; sign again when the rule allows it, or have somebody else sign.`,
  );
}

/** Judges a signature-checked act against the decision, its pinned roster and the roster in force. */
export function judge(batch: Batch, record: DecisionRecord, submitted: SubmittedAct): AcceptedAct | Refusal {
  const { policies, projections, site } = batch.state;
  const { decision } = record;
  if (decision.policy_digest === null)
    return refuse('policy.none', 'This decision was made without a policy.');
  const policy = policies.load(decision.policy_digest);
  const person = judgeAct({
    site,
    record,
    act: submitted.act,
    key: submitted.key,
    pinned: policy.roster,
    current: rosterInForce(batch, record),
    nonce_used: projections.nonceUsed(submitted.act.nonce),
    now_ms: batch.now,
    time_trust: batch.trust,
    exception_and_vote: policy.compiled.bundle.approvals?.exception_and_vote ?? 'distinct',
  });
  if (isRefusal(person)) return person;
  return judgeKeyUse(batch, submitted, policy) ?? judgeToken(batch, record, submitted, person, policy);
}

/** Whom a key belongs to in the policy in force, for the record of a rejected act. */
export function ownerOf(roster: Roster | null, key: string): string | null {
  return roster?.byKey(key)?.id ?? null;
}

/** Keys cost nothing: whoever signs with a hundred of them must not use up what the people of the roster have. */
function checkLimit(batch: Batch, found: DecisionRecord, submitted: SubmittedAct): Refusal | null {
  const limit = approvalLimit(batch, found);
  const known = ownerOf(rosterInForce(batch, found), submitted.key) !== null;
  if ((known ? found.acts : found.strangers) < limit) return null;
  return refuse(
    'approval.too_many',
    `${limit} acts were already submitted for this decision. Nothing was recorded.`,
  );
}

/**
 * An act for a decision that waits no more. It changes nothing, but what a person of the roster signed about it is not
 * lost: somebody's "no" that came after the permit has to be found later. The same act again only hears that it counted.
 */
function tooLate(
  batch: Batch,
  found: DecisionRecord,
  submitted: SubmittedAct,
  command: LifecycleCommand,
  wrong: Refusal,
): AfterCommit {
  const { decision_id, status } = found.decision;
  const counted = batch.state.projections.nonceEntry(submitted.act.nonce);
  if (counted !== null) {
    const message = `This act was submitted before: it counted, as ledger entry ${counted}. Nothing was changed or recorded.`;
    return refused(refuse('approval.nonce_used', message), { decision_id, record_id: counted });
  }
  const person = ownerOf(rosterInForce(batch, found), submitted.key);
  const about = submitted.act.subject === decision_id && submitted.act.site === batch.state.site;
  const waits = status === 'evaluated' || status === 'draft';
  if (person === null || !about || waits || checkLimit(batch, found, submitted) !== null)
    return refused(wrong);
  return reject(batch, found, submitted, command, wrong);
}

/** Expiry is recorded by the clock's own tick, which may come later: after a stop of days, or behind a long backlog. */
function checkPatience(batch: Batch, { decision, first_index }: DecisionRecord): Refusal | null {
  const { decision_id, expires_at, time_trust } = decision;
  if (expires_at === null) return null;
  const waited = { index: first_index, time_trust, expires_at: Date.parse(expires_at) };
  // While nobody knows how long it waited, the act itself is refused for the time.
  if (grantState(batch.state, batch, waited) !== 'over') return null;
  return refuse(
    'decision.terminal',
    `Decision ${decision_id} waited for authority until ${expires_at}, which is over: nothing was changed. Ask for a new decision.`,
  );
}

function rosterInForce(batch: Batch, { decision }: DecisionRecord): Roster | null {
  const policy = batch.state.policies.active(decision.context.environment);
  return policy === null ? null : rosterAt(policy.roster, batch);
}

function approvalLimit(batch: Batch, { decision }: DecisionRecord): number {
  const bundle = batch.state.policies.active(decision.context.environment)?.compiled.bundle;
  return bundle?.limits?.approvals_per_decision ?? DEFAULT_ACTS_PER_DECISION;
}

function reject(
  batch: Batch,
  record: DecisionRecord,
  submitted: SubmittedAct,
  command: LifecycleCommand,
  refusal: Refusal,
  anomalies: readonly Anomaly[] = [],
): AfterCommit {
  const { decision } = record;
  const principal = ownerOf(rosterInForce(batch, record), submitted.key);
  assertTransition(command, 'approval.rejected', []);
  const { index } = batch.record(
    decision.decision_id,
    'approval.rejected',
    { id: principal, role: null },
    {
      transitions: [],
      code: refusal.refused,
      reason: refusal.message,
      act_digest: submitted.digest,
      key: submitted.key,
      principal,
      ...keyUseData(submitted),
      ...namesOf(anomalies),
    },
  );
  recordAnomalies(batch, anomalies, { principal, decision: decision.decision_id, entry: index });
  return (state) =>
    problem(refusal, { decision_id: decision.decision_id, record_id: index, proof: proofOf(state, index) });
}

function accept(batch: Batch, record: DecisionRecord, counted: Counted): AfterCommit {
  const { submitted, person } = counted;
  const current = rosterInForce(batch, record);
  const approved = submitted.act.answer === 'approve';
  const { decision, escalation } = escalated(record.decision, counted.anomalies);
  const complete = approved && completesAuthority(decision, { vote: person }, current, batch.now);
  const transitions: DecisionStatus[] = approved ? (complete ? ['authorized'] : []) : ['denied'];
  const extra = {
    ...escalation,
    group: approved ? groupOf(decision, person, current) : '-',
    answer: approved ? 'approve' : 'reject',
  };
  append(batch, record, counted, { command: 'approve', type: 'approval.added', transitions, extra });
  return changed(batch, decision.decision_id);
}

function except(batch: Batch, record: DecisionRecord, counted: Counted): AfterCommit {
  const { gate } = counted.person;
  if (gate === undefined) throw new Error('acts: an exception was accepted that no gate asks for');
  const current = rosterInForce(batch, record);
  const { decision, escalation } = escalated(record.decision, counted.anomalies);
  const complete = completesAuthority(decision, { gate }, current, batch.now);
  append(batch, record, counted, {
    command: 'except',
    type: 'exception.granted',
    transitions: complete ? ['authorized'] : [],
    extra: { ...escalation, gate, answer: 'approve' },
  });
  return changed(batch, decision.decision_id);
}

/** The decision with the groups that struck rules demand from now on, and what the entry says of them. */
function escalated(
  decision: Decision,
  anomalies: readonly Anomaly[],
): { decision: Decision; escalation: JsonObject } {
  const { authority } = decision;
  const more = escalations(anomalies, authority.required);
  if (more.length === 0) return { decision, escalation: {} };
  const required = [...authority.required, ...more];
  return {
    decision: { ...decision, authority: { ...authority, required } },
    escalation: { escalation: more.map((group) => ({ ...group })) },
  };
}

/** The rules that an act struck, for its own entry. */
function namesOf(anomalies: readonly Anomaly[]): JsonObject {
  return anomalies.length === 0 ? {} : { anomalies: anomalies.map(({ rule }) => rule.id) };
}

interface Step {
  command: LifecycleCommand;
  type: EntryType;
  transitions: DecisionStatus[];
  extra: JsonObject;
}

function append(batch: Batch, record: DecisionRecord, counted: Counted, step: Step): void {
  const { submitted, person, anomalies } = counted;
  assertTransition(step.command, step.type, step.transitions);
  const actor: EntryActor = { id: person.principal, role: person.role };
  const data: JsonObject = {
    transitions: step.transitions,
    ...actData(submitted, person),
    ...step.extra,
    ...namesOf(anomalies),
  };
  if (step.transitions.includes('authorized'))
    data.permit = permitFor(batch, record, submitted) as unknown as JsonObject;
  const { decision_id } = record.decision;
  const { index } = batch.record(decision_id, step.type, actor, data);
  recordAnomalies(batch, anomalies, { principal: person.principal, decision: decision_id, entry: index });
}

function permitFor(batch: Batch, record: DecisionRecord, last: SubmittedAct): Permit {
  const { decision, call, tool } = record;
  const { target } = decision.action;
  if (call === null || tool === null || target === null || decision.policy_digest === null) {
    throw new Error('acts: a pending decision without a resolved call');
  }
  return issuePermit({
    decision_id: decision.decision_id,
    audience: record.audience,
    ...(decision.breakglass === undefined ? {} : { breakglass: decision.breakglass.id }),
    action_digest: decision.action_digest,
    policy_digest: decision.policy_digest,
    tool,
    call,
    environment: decision.context.environment,
    target,
    profile: batch.state.profile,
    now_ms: batch.now,
    ttl_ms: Math.min(
      ttlUnder(record.permit_ttl_ms, { ...decision, now_ms: batch.now }),
      exceptedFor(batch, record, last),
    ),
  });
}

/** How long the exceptions hold that the permit rests on, the one that is being granted among them. In milliseconds. */
function exceptedFor(batch: Batch, record: DecisionRecord, { act }: SubmittedAct): number {
  const granted = exceptionsUntil(record.decision, counting(rosterInForce(batch, record), batch.now));
  const end = act.kind === 'exception' ? Math.min(granted, exceptionEnd(act)) : granted;
  return end - batch.now;
}
