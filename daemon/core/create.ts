import type { EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { actionDigest, type Permit } from '../formats/permit.ts';
import type { DecisionStatus } from './decision.ts';
import type { DecisionRequest } from './request.ts';
import type { Verdict } from './verdict.ts';

/** What one command wants recorded: the entry's type and data, named after the result. */
export interface Draft {
  type: EntryType;
  transitions: DecisionStatus[];
  data: JsonObject;
}

/** What `draftDecision` needs beside the verdict; all of it is input, so that it stays pure. */
export interface DecisionFacts {
  decision_id: string;
  now_ms: number;
  profile: string;
  policy: { version: string; digest: string } | null;
  /** Who may redeem the permit. */
  audience: string;
  tool: string | null;
  idempotency: { key: string; request: string } | null;
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
 */
export function draftDecision(request: DecisionRequest, verdict: Verdict, facts: DecisionFacts): Draft {
  const { type, status } = BY_RESULT[verdict.result];
  const transitions: DecisionStatus[] =
    status === null ? ['draft', 'evaluated'] : ['draft', 'evaluated', status];
  const action_digest = actionDigest(request.action as unknown as Parameters<typeof actionDigest>[0]);
  const context = { ...request.context, environment: verdict.environment };
  const data = {
    transitions,
    action: request.action,
    context,
    environment_assumed: verdict.environment_assumed,
    action_digest,
    policy: facts.policy,
    gates: verdict.gates,
    risk: verdict.risk,
    authority: verdict.authority,
    enforcement: { result: verdict.result, reasons: verdict.reasons },
    expires_at: expiryOf(verdict, facts.now_ms),
    permit_ttl_ms: verdict.permit_ttl_ms,
    linked_to: request.linked_to,
    idempotency: facts.idempotency,
    tool: facts.tool,
    audience: facts.audience,
    call: verdict.result === 'escalate' ? verdict.call : null,
  };
  const draft: Draft = { type, transitions, data: data as unknown as JsonObject };
  if (verdict.result === 'allow') draft.data.permit = permitFor(request, verdict, facts, action_digest);
  return draft;
}

function expiryOf(verdict: Verdict, now: number): string | null {
  if (verdict.result === 'deny') return null;
  return isoTime(now + (verdict.result === 'allow' ? verdict.permit_ttl_ms : verdict.pending_ttl_ms));
}

function permitFor(
  request: DecisionRequest,
  verdict: Verdict,
  facts: DecisionFacts,
  action_digest: string,
): JsonObject {
  const { target } = request.action;
  if (verdict.call === null || target === null || facts.policy === null || facts.tool === null) {
    throw new Error('create: an allow verdict without a resolved call');
  }
  return asJson({
    id: permitIdOf(facts.decision_id),
    decision_id: facts.decision_id,
    audience: facts.audience,
    action_digest,
    policy_digest: facts.policy.digest,
    tool: facts.tool,
    call: verdict.call,
    environment: verdict.environment,
    target,
    profile: facts.profile,
    not_before: isoTime(facts.now_ms),
    expires_at: isoTime(facts.now_ms + verdict.permit_ttl_ms),
  });
}

function asJson(permit: Permit): JsonObject {
  return permit as unknown as JsonObject;
}

/** A decision yields at most one permit, so its id is the decision's with another prefix. */
export function permitIdOf(decisionId: string): string {
  return `prm_${decisionId.slice('dec_'.length)}`;
}

export function decisionIdOf(permitId: string): string {
  return `dec_${permitId.slice('prm_'.length)}`;
}

let lastMs = Number.NaN;
let lastIso = '';

/** RFC 3339 UTC with milliseconds. A batch shares one instant, so the newest text is kept. */
export function isoTime(ms: number): string {
  if (ms !== lastMs) {
    lastIso = new Date(ms).toISOString();
    lastMs = ms;
  }
  return lastIso;
}
