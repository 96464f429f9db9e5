import type { TimeTrust } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Permit } from '../formats/permit.ts';
import type { RecordedPeer } from './peer.ts';
import type { Target } from './request.ts';
import type { RecordedShadow } from './shadow.ts';
import type { AuthorityGroup, EnforcementResult, RecordedBreakglass, RecordedGate } from './verdict.ts';

/** From made to closed, in the order of the lifecycle; a decision may skip some. */
export const DECISION_STATUSES = [
  'draft',
  'evaluated',
  'pending_authority',
  'authorized',
  'executed',
  'reviewed',
  'denied',
  'expired',
  'cancelled',
] as const;

export type DecisionStatus = (typeof DECISION_STATUSES)[number];

/** One accepted approval, as it counts towards a group of the route. */
export interface ReceivedApproval {
  principal: string;
  role: string;
  group: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  key: string;
  answer: 'approve' | 'reject';
  nonce: string;
  at: string;
  /** What the ID token beside it said, where there was one. */
  login?: Login;
  /** Present where it no longer counts: key or person were revoked or suspended since. */
  counts?: false;
}

/** A login at the site's identity provider: at which, as whom, when (as far as it says) and by what (RFC 8176). */
export interface Login {
  issuer: string;
  subject: string;
  auth_time: string | null;
  amr: string[];
}

/** A gate that was excepted, by whom, and until when. */
export interface GrantedException {
  gate: string;
  principal: string;
  role: string;
  key: string;
  reason: string;
  at: string;
  /** RFC 3339 ms UTC, as its signer said: no permit outlives it. */
  expires_at: string;
  /** Present where it no longer counts: it is over, or key or person were revoked or suspended since. */
  counts?: false;
}

/** Where the permit of a decision stands. */
export type PermitState = 'none' | 'issued' | 'redeemed' | 'succeeded' | 'failed' | 'unknown';

/**
 * Decision v1, the wire object (design: "The decision"). The ledger's entries are the truth; this is their fold. Fields
 * that do not apply yet are null, never absent, except `permit` (present only while a permit exists), `peer`,
 * `breakglass` and `shadow`.
 */
export interface Decision {
  decision_id: string;
  policy_version: string | null;
  policy_digest: string | null;
  action_digest: string;
  status: DecisionStatus;
  action: { class: string | null; intent: string | null; target: Target | null; payload: JsonObject };
  context: {
    actor: { id: string | null; role: string | null };
    environment: string;
    request_source: string | null;
    trace: { correlation_id: string | null; parent_id: string | null };
    labels: Record<string, string>;
  };
  policy: {
    gates: RecordedGate[];
    exceptions: GrantedException[];
  };
  risk: { band: string | null; score: number | null; reasons: string[] };
  authority: { required: AuthorityGroup[]; received: ReceivedApproval[]; satisfied: boolean };
  ledger: { write_state: 'confirmed'; record_id: number };
  enforcement: { default: 'deny'; result: EnforcementResult; allow_if: string[]; reasons: string[] };
  timestamps: { created_at: string; updated_at: string };
  expires_at: string | null;
  linked_to: string | null;
  time_trust: TimeTrust;
  /** Who asked over the socket, as the kernel and the certificate said; present where the site tells callers apart. */
  peer?: RecordedPeer;
  /** The break-glass session that was open for it, and until when; present only for what was asked under one. */
  breakglass?: RecordedBreakglass;
  /** What was judged beside it and not enforced; present where class or site had something in shadow. */
  shadow?: RecordedShadow;
  permit_state: PermitState;
  permit?: Permit;
  outcome: JsonObject | null;
  reviews: { principal: string; note: string; at: string }[];
}
