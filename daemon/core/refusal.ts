/**
 * The closed set of coded "no" answers of the engine. A refusal is a value, never thrown; each code has one HTTP status
 * and one sentence shape, so that callers and operators can rely on it.
 */
export const REFUSALS = {
  'decision.not_found': 404,
  'decision.wrong_state': 409,
  'decision.terminal': 409,
  'decision.not_requester': 403,
  'decision.link_not_found': 409,
  'idempotency.mismatch': 409,
  'approval.malformed': 422,
  'approval.wrong_kind': 422,
  'approval.wrong_site': 422,
  'approval.wrong_subject': 422,
  'approval.wrong_digest': 422,
  'approval.bad_signature': 422,
  'approval.unknown_key': 422,
  'approval.revoked_key': 422,
  'approval.key_type': 422,
  'approval.user_not_present': 422,
  'approval.user_not_verified': 422,
  'approval.security_key_required': 422,
  'approval.counter_not_newer': 409,
  'approval.nonce_used': 409,
  'approval.expired': 422,
  'approval.not_yet_valid': 422,
  'approval.time_uncertain': 409,
  'approval.self': 422,
  'approval.duplicate_person': 409,
  'approval.role_not_held': 422,
  'approval.role_not_required': 422,
  'approval.out_of_scope': 422,
  'approval.too_many': 429,
  'approval.id_token_required': 422,
  'approval.id_token_invalid': 422,
  'approval.id_token_other_person': 422,
  'permit.not_found': 404,
  'permit.wrong_audience': 403,
  'permit.wrong_digest': 409,
  'permit.expired': 410,
  'permit.not_yet_valid': 409,
  'permit.already_redeemed': 409,
  'permit.revoked': 409,
  'permit.time_uncertain': 409,
  'permit.not_redeemed': 409,
  'permit.outcome_known': 409,
  'breakglass.malformed': 422,
  'breakglass.not_in_policy': 403,
  'breakglass.not_covered': 403,
  'breakglass.ttl_too_long': 422,
  'breakglass.reason': 422,
  'breakglass.too_many': 409,
  'breakglass.review_overdue': 409,
  'breakglass.exists': 409,
  'breakglass.not_found': 404,
  'breakglass.wrong_state': 409,
  'breakglass.ended': 409,
  'grant.not_found': 404,
  'grant.used': 409,
  'grant.revoked': 409,
  'grant.expired': 410,
  'grant.wrong_code': 403,
  'grant.too_long': 422,
  'grant.too_many': 409,
  'key.not_found': 404,
  'key.suspended': 409,
  'peer.unknown': 403,
  'peer.not_trusted': 403,
  'peer.not_active': 403,
  'peer.not_permitted': 403,
  'peer.not_that_actor': 403,
  'policy.none': 409,
  'policy.not_newer': 409,
  'policy.serial_too_high': 422,
  'policy.not_held': 404,
  'policy.rejected': 409,
  'policy.expired': 409,
  'policy.wrong_site': 422,
  'policy.defective': 422,
  'policy.digest_mismatch': 422,
  'permit.halted': 409,
  'incident.not_found': 404,
  'incident.not_open': 409,
  'incident.not_reporter': 403,
  'incident.too_many': 429,
  'disk.full': 503,
  'time.challenge_unknown': 409,
  'time.lowered_too_far': 422,
  'ledger.unavailable': 503,
  'ledger.entry_not_found': 404,
  'ledger.entry_too_large': 413,
  'engine.overloaded': 503,
  'engine.stopping': 503,
  'engine.failure': 500,
} as const;

export type RefusalCode = keyof typeof REFUSALS;

export interface Refusal {
  readonly refused: RefusalCode;
  /** What happened, what was not done, what to do next. Never holds a payload value. */
  readonly message: string;
}

export function refuse(code: RefusalCode, message: string): Refusal {
  return { refused: code, message };
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}
