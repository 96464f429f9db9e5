import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { EntryType } from '../formats/entry.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { Permit, ResolvedCall } from '../formats/permit.ts';
import type { DecisionStatus } from './decision.ts';
import type { StalePolicy } from './freshness.ts';
import type { RecordedPeer } from './peer.ts';
import type { DecisionRequest, Target } from './request.ts';
import type { RecordedShadow } from './shadow.ts';
import type { SiteStop } from './site-stops.ts';
import type { EnforcementResult, GateResult, RecordedBreakglass, Verdict } from './verdict.ts';

/** The first entry of a decision, named after the result. */
export interface Draft {
  type: EntryType;
  transitions: DecisionStatus[];
  data: JsonObject;
  printed: PrintedData;
}

/** The canonical text of an entry's data and of each member: printed once, for the entry and for the reply. */
export interface PrintedData {
  text: string;
  members: Readonly<Record<string, string>>;
}

/** What `draftDecision` needs beside the verdict; all of it is input, so that it stays pure. */
export interface DecisionFacts {
  decision_id: string;
  now_ms: number;
  profile: string;
  policy: { digest: string; version: string } | null;
  /** Who may redeem the permit. */
  audience: string;
  tool: string | null;
  idempotency: { key: string; request: string } | null;
  /** What evaluation was told of the policy's age, so that the decision can be replayed. */
  freshness?: StalePolicy;
  /** What it was told of how overdue anchors are. */
  anchoring?: StalePolicy;
  /** The break-glass session that evaluation was told of. */
  breakglass?: RecordedBreakglass;
  /** What evaluation was told of who asks, with whom that is. */
  peer?: RecordedPeer;
  /** What evaluation was told of why the site holds it back. */
  stops?: readonly SiteStop[];
}

const BY_RESULT = {
  allow: { type: 'decision.authorized', status: 'authorized' },
  escalate: { type: 'decision.pending_authority', status: 'pending_authority' },
  queue: { type: 'decision.queued', status: null },
  deny: { type: 'decision.denied', status: 'denied' },
} as const;

/**
 * Turns a verdict into the first entry of a decision's stream. `request` is what may be recorded: scrubbed of secrets
 * and with sensitive values already replaced by commitments.
 *
 * An entry says nothing twice and nothing empty: what is null or false is absent, the actor is the entry's own, and what
 * the permit binds stands in the permit alone. Bytes are what a commit costs. Members are built in canonical order.
 */
export function draftDecision(request: DecisionRequest, verdict: Verdict, facts: DecisionFacts): Draft {
  const { type, status } = BY_RESULT[verdict.result];
  const transitions: DecisionStatus[] =
    status === null ? ['draft', 'evaluated'] : ['draft', 'evaluated', status];
  const { class: actionClass, intent, payload, target } = request.action;
  const action = { class: actionClass, intent, payload, target: orderedTarget(target) };
  // Same bytes as `actionDigest` hashes: the members are in canonical order.
  const actionText = canonicalText(action as unknown as JsonObject);
  const action_digest = sha256Hex(actionText);
  const waits = verdict.result === 'escalate' || verdict.result === 'queue';
  const data: FirstData = {
    action,
    ...(verdict.result === 'allow' ? {} : { action_digest }),
    ...(facts.anchoring === undefined ? {} : { anchoring: facts.anchoring }),
    ...(waits ? { audience: facts.audience } : {}),
    authority: { required: verdict.authority.required, route: verdict.authority.route },
    ...(facts.breakglass === undefined ? {} : { breakglass: facts.breakglass }),
    ...(verdict.result === 'escalate' ? { call: verdict.call } : {}),
    context: recordedContext(request.context, verdict.environment),
    enforcement: { reasons: verdict.reasons, result: verdict.result },
    ...(verdict.environment_assumed ? { environment_assumed: true } : {}),
    ...(waits ? { expires_at: isoTime(facts.now_ms + verdict.pending_ttl_ms) } : {}),
    ...(facts.freshness === undefined ? {} : { freshness: facts.freshness }),
    gates: verdict.gates.filter(({ result }) => result !== 'pass'),
    gates_passed: verdict.gates.filter(({ result }) => result === 'pass').map(({ id }) => id),
    ...(facts.idempotency === null ? {} : { idempotency: facts.idempotency }),
    ...(request.linked_to === null ? {} : { linked_to: request.linked_to }),
    ...(facts.peer === undefined ? {} : { peer: facts.peer }),
    ...(verdict.result === 'allow' ? { permit: permitFor(action, verdict, facts, action_digest) } : {}),
    ...(waits ? { permit_ttl_ms: verdict.permit_ttl_ms } : {}),
    policy: facts.policy,
    risk: { band: verdict.risk.band, reasons: verdict.risk.reasons, score: verdict.risk.score },
    ...(verdict.shadow === undefined ? {} : { shadow: { class: verdict.shadow } }),
    ...(facts.stops === undefined ? {} : { stops: facts.stops }),
    ...(waits ? { tool: facts.tool } : {}),
    transitions,
  };
  const members = data as unknown as JsonObject;
  return { type, transitions, data: members, printed: printData(members, actionText) };
}

function printData(data: JsonObject, action: string): PrintedData {
  const members: Record<string, string> = { action };
  let text = `{"action":${action}`;
  for (const name in data) {
    if (name === 'action') continue;
    const member = canonicalText(data[name] as Json);
    members[name] = member;
    text += `,"${name}":${member}`;
  }
  return { text: `${text}}`, members };
}

/** `data` of a decision's first entry. What is absent is null, false or empty. */
export interface FirstData {
  action: { class: string | null; intent: string | null; payload: JsonObject; target: Target | null };
  /** Absent when the permit holds it. */
  action_digest?: string;
  anchoring?: StalePolicy;
  audience?: string;
  authority: Verdict['authority'];
  breakglass?: RecordedBreakglass;
  call?: ResolvedCall | null;
  context: RecordedContext;
  enforcement: { reasons: string[]; result: EnforcementResult };
  environment_assumed?: boolean;
  expires_at?: string;
  freshness?: StalePolicy;
  /** Gates that did not pass. */
  gates: GateResult[];
  /** Those that did, by id: their reasons are in the pinned policy. */
  gates_passed: string[];
  idempotency?: { key: string; request: string };
  linked_to?: string;
  peer?: RecordedPeer;
  permit?: Permit;
  permit_ttl_ms?: number;
  policy: { digest: string; version: string } | null;
  risk: Verdict['risk'];
  shadow?: RecordedShadow;
  stops?: readonly SiteStop[];
  tool?: string | null;
  transitions: DecisionStatus[];
}

/** The request's context without its actor, which is the entry's. */
export interface RecordedContext {
  environment: string;
  labels?: Record<string, string>;
  request_source?: string;
  trace?: { correlation_id: string | null; parent_id: string | null };
}

function recordedContext(context: DecisionRequest['context'], environment: string): RecordedContext {
  const { labels, request_source, trace } = context;
  const traced = trace.correlation_id !== null || trace.parent_id !== null;
  return {
    environment,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(request_source === null ? {} : { request_source }),
    ...(traced ? { trace: { correlation_id: trace.correlation_id, parent_id: trace.parent_id } } : {}),
  };
}

function orderedTarget(target: Target | null): Target | null {
  return target === null ? null : { id: target.id, type: target.type };
}

function permitFor(
  action: FirstData['action'],
  verdict: Verdict,
  facts: DecisionFacts,
  action_digest: string,
): Permit {
  if (verdict.call === null || action.target === null || facts.policy === null || facts.tool === null) {
    throw new Error('create: an allow verdict without a resolved call');
  }
  return issuePermit({
    decision_id: facts.decision_id,
    audience: facts.audience,
    ...(facts.breakglass === undefined ? {} : { breakglass: facts.breakglass.id }),
    action_digest,
    policy_digest: facts.policy.digest,
    tool: facts.tool,
    call: verdict.call,
    environment: verdict.environment,
    target: action.target,
    profile: facts.profile,
    now_ms: facts.now_ms,
    ttl_ms: verdict.permit_ttl_ms,
  });
}

/** The permit of a decision whose authority is satisfied, valid from now for `ttl_ms`. Members in canonical order. */
export function issuePermit(
  grant: Omit<Permit, 'id' | 'not_before' | 'expires_at'> & { now_ms: number; ttl_ms: number },
): Permit {
  return {
    action_digest: grant.action_digest,
    audience: grant.audience,
    ...(grant.breakglass === undefined ? {} : { breakglass: grant.breakglass }),
    call: grant.call,
    decision_id: grant.decision_id,
    environment: grant.environment,
    expires_at: isoTime(grant.now_ms + grant.ttl_ms),
    id: permitIdOf(grant.decision_id),
    not_before: isoTime(grant.now_ms),
    policy_digest: grant.policy_digest,
    profile: grant.profile,
    target: grant.target,
    tool: grant.tool,
  };
}

/** A decision yields at most one permit, so its id is the decision's with another prefix. */
function permitIdOf(decisionId: string): string {
  return `prm_${decisionId.slice('dec_'.length)}`;
}

export function decisionIdOf(permitId: string): string {
  return `dec_${permitId.slice('prm_'.length)}`;
}

const ISO_CACHE_MAX = 64;
const isoCache = new Map<number, string>();

/** RFC 3339 UTC with milliseconds. The entries of a batch share their instants, so the newest texts are kept. */
export function isoTime(ms: number): string {
  let text = isoCache.get(ms);
  if (text === undefined) {
    if (isoCache.size >= ISO_CACHE_MAX) isoCache.clear();
    text = new Date(ms).toISOString();
    isoCache.set(ms, text);
  }
  return text;
}
