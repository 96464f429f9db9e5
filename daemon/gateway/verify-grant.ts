import type { ActionBody, DecisionReply } from '../api/client.ts';
import type { Bundle, BundleTool } from '../core/bundle.ts';
import { deriveCall } from '../core/template.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { isCommitment } from '../formats/commitment.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import {
  actionDigest,
  checkPermitUse,
  type Permit,
  type ResolvedCall,
  type VerifiedPermit,
  verifyPermit,
} from '../formats/permit.ts';
import { type GatewayRefusal, isRefused, refuse } from './refusal.ts';
import type { GatewayTrust } from './trust.ts';

/** The action as the digest binds it: normalized, sensitive values replaced by commitments. */
export interface BoundAction {
  class: string;
  intent: string;
  target: { type: string; id: string };
  payload: JsonObject;
}

/** A permit that this gateway has found genuine, meant for it, and saying exactly what the signed bundle says. */
export interface Grant {
  permit: Permit;
  /** Log index of the granting entry, and size of the tree that proved it. */
  index: number;
  treeSize: number;
  action: BoundAction;
  /** Derived here, from the bundle; equal to the permit's, byte for byte. */
  call: ResolvedCall;
  /** What the bundle says of the permit's tool. */
  tool: BundleTool;
  /** What was submitted for the sensitive fields, by field; null when the action comes from the decision. */
  submitted: JsonObject | null;
}

export interface GrantContext {
  trust: GatewayTrust;
  /** The bundle with this digest, verified by this gateway, if it is in force for the environment. */
  bundleOf: (digest: string, environment: string) => Promise<Bundle>;
  /** Unix time in ms. */
  now: number;
}

/**
 * Everything that can be checked before the permit is consumed, offline and against the gateway's own trust. Throws only
 * what `bundleOf` throws.
 */
export async function verifyGrant(
  context: GrantContext,
  submission: ActionBody,
  decision: DecisionReply,
): Promise<Grant | GatewayRefusal> {
  const verified = genuinePermit(context.trust, decision);
  if (isRefused(verified)) return verified;
  const { permit } = verified;
  const unusable = usableHere(context, permit, submission, decision);
  if (unusable !== null) return unusable;
  const bundle = await context.bundleOf(permit.policy_digest, permit.environment);
  const action = actionOf(submission, decision, bundle);
  if (action === null || actionDigest({ ...action, target: { ...action.target } }) !== permit.action_digest) {
    return refuse(
      'gateway.action_differs',
      'The permit is for another action than the one that was submitted. No tool was started. Ask for a new decision.',
    );
  }
  const derived = derivedCall(bundle, action, permit);
  if (isRefused(derived)) return derived;
  const { index, checkpoint } = verified;
  const submitted = 'action' in submission ? (submission.action.payload ?? {}) : null;
  return { permit, index, treeSize: checkpoint.size, action, ...derived, submitted };
}

function genuinePermit(trust: GatewayTrust, decision: DecisionReply): VerifiedPermit | GatewayRefusal {
  if (decision.permit === undefined) {
    return refuse('gateway.permit_missing', 'The engine says "allow" without a permit. No tool was started.');
  }
  let verified: VerifiedPermit;
  try {
    verified = verifyPermit(decision.permit.proof, { origin: trust.origin, vkeys: trust.vkeys });
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse(
      'gateway.permit_unverifiable',
      `The permit does not verify against this gateway's own trust: ${error.message} No tool was started. Check the engine.`,
      error.code,
    );
  }
  const { permit, entry } = verified;
  if (entry.site !== trust.site || permit.profile !== trust.profile) {
    return refuse(
      'gateway.permit_unusable',
      `The permit is of another site or profile (this is ${trust.site}, ${trust.profile}). No tool was started.`,
    );
  }
  if (permit.decision_id !== decision.decision_id) {
    return refuse('gateway.permit_unusable', 'The permit is of another decision. No tool was started.');
  }
  return verified;
}

/** Audience, environment, target and time (contract: "Permit"). */
function usableHere(
  { trust, now }: GrantContext,
  permit: Permit,
  submission: ActionBody,
  decision: DecisionReply,
): GatewayRefusal | null {
  const environment =
    'action' in submission ? (submission.context.environment ?? 'production') : permit.environment;
  const target = 'action' in submission ? submission.action.target : decision.action.target;
  const objection = checkPermitUse(permit, {
    now,
    audience: trust.audience,
    environment,
    ...(target === null || target === undefined ? {} : { target }),
  });
  if (objection === null) return null;
  return refuse('gateway.permit_unusable', `${objection.message} No tool was started.`, objection.code);
}

/**
 * What we were asked to do, as the digest binds it. Of the engine's copy only the commitments of sensitive fields are
 * taken, since their salts are the engine's; that they hold the submitted values is checked when they are opened.
 */
function actionOf(submission: ActionBody, decision: DecisionReply, bundle: Bundle): BoundAction | null {
  const source = 'action' in submission ? submission.action : decision.action;
  const { class: name, intent, target } = source;
  if (typeof name !== 'string' || typeof intent !== 'string' || target === null || target === undefined)
    return null;
  const fields = Object.hasOwn(bundle.actions, name) ? (bundle.actions[name]?.payload ?? {}) : {};
  const payload: JsonObject = {};
  for (const [field, value] of Object.entries(source.payload ?? {})) {
    const sensitive = Object.hasOwn(fields, field) && fields[field]?.sensitive === true;
    const bound: Json = sensitive ? (decision.action.payload[field] ?? null) : value;
    if (sensitive !== isCommitment(bound)) return null;
    payload[field] = bound;
  }
  return { class: name, intent, target: { type: target.type, id: target.id }, payload };
}

/** The gateway derives what runs itself; a permit that says otherwise is refused. */
function derivedCall(
  bundle: Bundle,
  action: BoundAction,
  permit: Permit,
): { call: ResolvedCall; tool: BundleTool } | GatewayRefusal {
  const toolId = Object.hasOwn(bundle.actions, action.class) ? bundle.actions[action.class]?.tool : undefined;
  const tool = toolId !== undefined && Object.hasOwn(bundle.tools, toolId) ? bundle.tools[toolId] : undefined;
  const differs = (what: string, because?: string) =>
    refuse(
      'gateway.call_differs',
      `The permit names another ${what} than the signed bundle gives this action. No tool was started. Treat the engine as ` +
        'suspect: keep the ledger and the permit, and check the daemon.',
      because,
    );
  if (toolId === undefined || tool === undefined || permit.tool !== toolId) return differs('tool');
  if ((tool.audience ?? 'gateway') !== permit.audience) return differs('audience');
  let call: ResolvedCall;
  try {
    call = deriveCall(bundle, action, permit.environment, permit.decision_id);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return differs('call', error.code);
  }
  const same = canonicalText(call as unknown as Json) === canonicalText(permit.call as unknown as Json);
  return same ? { call, tool } : differs('call');
}
