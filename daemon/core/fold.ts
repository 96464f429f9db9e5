import type { Entry, TimeTrust } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Permit, ResolvedCall } from '../formats/permit.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import type { Escalation } from './anomaly.ts';
import { authoritySatisfied, missingAuthority } from './authority.ts';
import type { Given } from './counting.ts';
import { type FirstData, isoTime, type RecordedContext } from './create.ts';
import type { Decision, DecisionStatus, Login, PermitState } from './decision.ts';
import { exceptionEnd, openExceptions } from './exception.ts';
import type { RecordedGate } from './verdict.ts';

/** A decision with what the engine needs beside the wire object. */
export interface DecisionRecord {
  decision: Decision;
  /** Log index of its first entry. */
  first_index: number;
  /** Log index of the entry that carries the permit; null while there is none. */
  permit_index: number | null;
  /** How far the clock was believed when the permit was given; null while there is none. */
  permit_time_trust: TimeTrust | null;
  call: ResolvedCall | null;
  tool: string | null;
  /** Who may redeem the permit. */
  audience: string;
  permit_ttl_ms: number;
  /** Approval acts seen so far, accepted or not, by keys of the roster. */
  acts: number;
  /** Those by keys of nobody. */
  strangers: number;
}

interface Recorded {
  index: number;
  entry: Entry;
}

/**
 * Folds a decision's stream into its current state: the entries are the truth, everything else is derived. Pure, so
 * replays and rebuilt projections reach the same object. Throws on a stream that does not start with a decision entry.
 *
 * `counts` says what of the signatures still does at the site: what is waited for, and who is missing, follows from it.
 */
export function foldDecision(
  stream: readonly Recorded[],
  counts: (given: Given) => boolean = () => true,
): DecisionRecord {
  const [first, ...rest] = stream;
  if (first === undefined || first.entry.seq !== 0) {
    throw new Error('fold: a decision stream starts with its seq 0 entry');
  }
  const record = begin(first);
  for (const recorded of rest) apply(record, recorded);
  settle(record, counts);
  return record;
}

function begin({ index, entry }: Recorded): DecisionRecord {
  const data = entry.data as unknown as FirstData;
  const { permit } = data;
  const { action } = data;
  const decision: Decision = {
    decision_id: entry.stream,
    policy_version: data.policy?.version ?? null,
    policy_digest: data.policy?.digest ?? null,
    action_digest: permit?.action_digest ?? data.action_digest ?? '',
    status: lastOf(data.transitions) ?? 'draft',
    action: { class: action.class, intent: action.intent, target: action.target, payload: action.payload },
    context: contextOf(entry, data.context),
    policy: { gates: gatesOf(data), exceptions: [] },
    risk: data.risk,
    authority: { required: data.authority.required, received: [], satisfied: false },
    ledger: { write_state: 'confirmed', record_id: index },
    enforcement: {
      default: 'deny',
      result: data.enforcement.result,
      allow_if: [],
      reasons: data.enforcement.reasons,
    },
    timestamps: { created_at: entry.at, updated_at: entry.at },
    expires_at: permit?.expires_at ?? data.expires_at ?? null,
    linked_to: data.linked_to ?? null,
    time_trust: entry.time_trust,
    permit_state: permit === undefined ? 'none' : 'issued',
    outcome: null,
    reviews: [],
  };
  if (data.peer !== undefined) decision.peer = data.peer;
  if (data.breakglass !== undefined) decision.breakglass = data.breakglass;
  if (data.shadow !== undefined) decision.shadow = data.shadow;
  if (permit !== undefined) decision.permit = permit;
  return {
    decision,
    first_index: index,
    permit_index: permit === undefined ? null : index,
    permit_time_trust: permit === undefined ? null : entry.time_trust,
    call: permit?.call ?? data.call ?? null,
    tool: permit?.tool ?? data.tool ?? null,
    audience: permit?.audience ?? data.audience ?? '',
    permit_ttl_ms: data.permit_ttl_ms ?? 0,
    acts: 0,
    strangers: 0,
  };
}

/** Every gate that applied: those that passed first. */
export function gatesOf({ gates, gates_passed }: FirstData): RecordedGate[] {
  return [...gates_passed.map((id): RecordedGate => ({ id, result: 'pass' })), ...gates];
}

function contextOf(entry: Entry, recorded: RecordedContext): Decision['context'] {
  return {
    actor: { id: entry.actor.id, role: entry.actor.role },
    environment: recorded.environment,
    request_source: recorded.request_source ?? null,
    trace: recorded.trace ?? { correlation_id: null, parent_id: null },
    labels: recorded.labels ?? {},
  };
}

function apply(record: DecisionRecord, { index, entry }: Recorded): void {
  const { decision } = record;
  const data = entry.data;
  decision.ledger.record_id = index;
  decision.timestamps.updated_at = entry.at;
  const status = lastOf((data.transitions ?? []) as DecisionStatus[]);
  if (status !== null) decision.status = status;
  const permit = data.permit as unknown as Permit | undefined;
  if (permit !== undefined) grant(record, permit, { index, entry });
  switch (entry.type) {
    case 'approval.added':
      record.acts++;
      receive(decision, entry);
      escalate(decision, entry);
      break;
    case 'approval.rejected':
      if (data.principal === null) record.strangers++;
      else record.acts++;
      break;
    case 'exception.granted':
      record.acts++;
      decision.policy.exceptions.push(exceptionOf(entry));
      escalate(decision, entry);
      break;
    case 'permit.redeemed':
      decision.permit_state = 'redeemed';
      break;
    case 'permit.outcome':
      decision.permit_state = data.result as PermitState;
      decision.outcome = outcomeOf(data, entry.at);
      break;
    case 'decision.reconciled':
      decision.permit_state = data.result as PermitState;
      decision.outcome = { ...decision.outcome, ...outcomeOf(data, entry.at), reconciled: true };
      break;
    case 'decision.cancelled':
      withdraw(decision, `Cancelled by ${entry.actor.id ?? 'nobody named'}: ${String(data.reason)}`);
      break;
    case 'decision.expired':
      withdraw(decision, `Expired: ${String(data.reason)}.`);
      break;
    case 'decision.reviewed':
      decision.reviews.push({ principal: String(data.principal), note: String(data.note), at: entry.at });
      break;
    default:
      break;
  }
}

function grant(record: DecisionRecord, permit: Permit, { index, entry }: Recorded): void {
  record.decision.permit = permit;
  record.decision.permit_state = 'issued';
  record.decision.expires_at = permit.expires_at;
  record.decision.enforcement.result = 'allow';
  record.decision.enforcement.reasons = [
    'Everything that the policy demanded was given.',
    ...record.decision.risk.reasons.map((reason) => `Risk: ${reason}`),
  ];
  record.permit_index = index;
  record.permit_time_trust = entry.time_trust;
}

/** What spoke for the action before no longer does; its risk stays on record. */
function withdraw(decision: Decision, reason: string): void {
  decision.enforcement.result = 'deny';
  decision.enforcement.reasons = [reason, ...decision.risk.reasons.map((risk) => `Risk: ${risk}`)];
}

function receive(decision: Decision, entry: Entry): void {
  const data = entry.data as unknown as ApprovalData;
  decision.authority.received.push({
    principal: data.principal,
    role: data.role,
    group: data.group,
    key: data.key,
    answer: data.answer,
    nonce: data.nonce,
    at: entry.at,
    ...(data.id_token === undefined ? {} : { login: loginOf(data.id_token) }),
  });
  if (data.answer === 'reject') {
    decision.enforcement.result = 'deny';
    decision.enforcement.reasons = [
      `${data.principal} (${data.role}) rejected it.`,
      ...decision.enforcement.reasons,
    ];
  }
}

function loginOf({ issuer, subject, auth_time, amr }: Login): Login {
  return { issuer, subject, auth_time, amr };
}

/** What an anomaly rule demands on top, from the act on that made it do so. */
function escalate(decision: Decision, { data }: Entry): void {
  const { escalation = [] } = data as unknown as { escalation?: Escalation[] };
  for (const { reason, ...group } of escalation) {
    decision.authority.required = [...decision.authority.required, group];
    decision.enforcement.reasons = [...decision.enforcement.reasons, reason];
  }
}

function exceptionOf(entry: Entry): Decision['policy']['exceptions'][number] {
  const data = entry.data as unknown as ApprovalData & { gate: string; reason: string; act: SignedAct };
  const { gate, principal, role, key, reason, act } = data;
  return { gate, principal, role, key, reason, at: entry.at, expires_at: isoTime(exceptionEnd(act)) };
}

function outcomeOf(data: JsonObject, at: string): JsonObject {
  return { result: data.result ?? null, at, detail: data.detail ?? null };
}

/** Derived members: what the entries imply but do not repeat. */
function settle({ decision }: DecisionRecord, counts: (given: Given) => boolean): void {
  // What ran was authorized then, whatever became of the keys later.
  const open = decision.status === 'pending_authority' || decision.permit_state === 'issued';
  const lapsed = open ? decision.authority.received.filter((approval) => !counts(approval)) : [];
  for (const approval of lapsed) approval.counts = false;
  for (const exception of open ? decision.policy.exceptions : []) {
    if (!counts(exception)) exception.counts = false;
  }
  const approvals = decision.authority.received.filter(
    (approval) => approval.answer === 'approve' && !lapsed.includes(approval),
  );
  decision.authority.satisfied =
    decision.status !== 'denied' && authoritySatisfied(decision.authority.required, approvals);
  if (decision.status === 'pending_authority') {
    decision.enforcement.allow_if = [
      ...openExceptions(decision, counts).map(
        (gate) => `exception for gate ${gate.id} by ${gate.exception_role}`,
      ),
      ...missingAuthority(decision.authority.required, approvals),
    ];
  }
}

function lastOf(transitions: readonly DecisionStatus[]): DecisionStatus | null {
  return transitions.at(-1) ?? null;
}

interface ApprovalData {
  principal: string;
  role: string;
  group: string;
  key: string;
  answer: 'approve' | 'reject';
  nonce: string;
  id_token?: Login;
}
