import type { Redeemed } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { isCommitment, openCommitment } from '../formats/commitment.ts';
import { fromBase64 } from '../formats/digest.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { ResolvedCall } from '../formats/permit.ts';
import { verifyProof } from '../formats/tlog-proof.ts';
import type { SeenTree } from './journal-format.ts';
import { type GatewayRefusal, refuse } from './refusal.ts';
import type { GatewayTrust } from './trust.ts';
import type { Grant } from './verify-grant.ts';

/**
 * Verifies that the permit was consumed durably, by an entry of its own that is newer than anything this gateway knew
 * when it asked (`before`): an old redemption, or a log that was wound back, does not pass. Returns the tree that proves it.
 */
export function verifyRedemption(
  trust: GatewayTrust,
  grant: Grant,
  before: SeenTree | null,
  reply: Redeemed,
): SeenTree | GatewayRefusal {
  try {
    const { index, leaf, checkpoint } = verifyProof(reply.proof, {
      origin: trust.origin,
      vkeys: trust.vkeys,
    });
    const entry = decodeEntry(leaf);
    const { permit } = grant;
    const { permit_id, audience, action_digest } = entry.data;
    if (
      entry.type !== 'permit.redeemed' ||
      entry.site !== trust.site ||
      entry.stream !== permit.decision_id ||
      permit_id !== permit.id ||
      audience !== permit.audience ||
      action_digest !== permit.action_digest
    ) {
      return unverifiable('it is not the redemption of this permit');
    }
    const known = before !== null && before.origin === trust.origin ? before.size : 0;
    if (index < grant.treeSize || index < known)
      return unverifiable('it is older than what this gateway has already seen');
    return { origin: trust.origin, size: checkpoint.size };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return unverifiable(error.message, error.code);
  }
}

/**
 * The call with the sensitive values in place of their commitments. Each value must be the one that the entry commits to,
 * and, where the caller submitted it, the caller's own.
 */
export function openCall(grant: Grant, sensitive: Redeemed['sensitive']): ResolvedCall | GatewayRefusal {
  const values: JsonObject = {};
  for (const [field, commitment] of Object.entries(grant.action.payload)) {
    if (!isCommitment(commitment)) continue;
    const opening = sensitive !== null && Object.hasOwn(sensitive, field) ? sensitive[field] : undefined;
    if (opening === undefined) return differs(field);
    const salt = saltOf(opening.salt);
    if (salt === null || !openCommitment(commitment, salt, opening.value)) return differs(field);
    const own = grant.submitted?.[field];
    if (own !== undefined && canonicalText(own) !== canonicalText(opening.value)) return differs(field);
    values[field] = opening.value;
  }
  const { call } = grant;
  if (call.connector === 'exec')
    return { ...call, stdin: call.stdin === null ? null : fill(call.stdin, values) };
  return { ...call, body: isObject(call.body) ? fill(call.body, values) : call.body };
}

function fill(members: JsonObject, values: JsonObject): JsonObject {
  const filled: JsonObject = {};
  for (const [field, value] of Object.entries(members)) {
    filled[field] = isCommitment(value) ? (values[field] ?? null) : value;
  }
  return filled;
}

function saltOf(text: string): Uint8Array | null {
  try {
    return fromBase64(text);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unverifiable(why: string, because?: string): GatewayRefusal {
  return refuse(
    'gateway.redemption_unverifiable',
    `The redemption does not verify: ${why}. The permit is spent, but no tool was started. Check the engine.`,
    because,
  );
}

function differs(field: string): GatewayRefusal {
  return refuse(
    'gateway.sensitive_differs',
    `The value of the sensitive field ${field} is missing or not the one that was decided on. The permit is spent, but no tool ` +
      'was started. Ask for a new decision.',
  );
}
