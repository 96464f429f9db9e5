import type { BreakglassSession as Session } from '../core/breakglass-session.ts';
import type { Decision } from '../core/decision.ts';
import type { Halt, IncidentCause, IncidentData } from '../core/incident.ts';
import type { Grant } from '../formats/grant.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { Permit } from '../formats/permit.ts';

/* The bodies that the client sends and gets, as types. The server's schemas (`schemas.ts`) say the same at run time. */

/** What may be asked for; audit fields may be absent or null, which the engine records and judges. */
export interface DecisionRequestBody {
  action?: {
    class?: string | null;
    intent?: string | null;
    target?: { type: string; id: string } | null;
    payload?: JsonObject;
  };
  context?: {
    actor?: { id?: string | null; role?: string | null } | null;
    environment?: string | null;
    request_source?: string | null;
    trace?: { correlation_id?: string | null; parent_id?: string | null } | null;
    labels?: Record<string, string>;
  };
  linked_to?: string | null;
}

/** A decision with its proofs: `permit.proof` is the permit file, `ledger.proof` that of the newest entry otherwise. */
export type DecisionReply = Omit<Decision, 'permit' | 'ledger'> & {
  permit?: Permit & { proof: string };
  ledger: Decision['ledger'] & { proof?: string };
};

export interface SignedActBody {
  act: string;
  signature: string;
  /** Of the approver's login for this very act, where there is an identity provider. */
  id_token?: string;
}

/** A key (`SHA256:…`) or principal that was suspended at the site. */
export interface SuspendedKey {
  suspended: string;
  since: string;
  by: string;
  role: string;
  reason: string;
  /** Hex SHA-256 of the signed act: what a bundle names to lift it. */
  act_digest: string;
  record_id: number;
}

export interface NamedActor {
  id: string;
  role?: string | null;
}

export interface Redeemed {
  permit_id: string;
  decision_id: string;
  redeemed_at: string;
  proof: string;
  sensitive: Record<string, { salt: string; value: Json }> | null;
}

export type OutcomeResult = 'succeeded' | 'failed' | 'unknown';

export interface OutcomeDetail {
  exit_code?: number | null;
  signal?: string | null;
  duration_ms?: number;
  http_status?: number | null;
  stdout_digest?: string | null;
  stderr_digest?: string | null;
  stdout_bytes?: number | null;
  stderr_bytes?: number | null;
  reason?: string | null;
}

export interface OpenPermit {
  permit_id: string;
  decision_id: string;
  redeemed_at: string;
}

export interface PolicyUpdate {
  update_id: string;
  /** Repository path → base64 of the file. */
  files: Record<string, string>;
}

export interface Readiness {
  ready: boolean;
  /** Why not, in one sentence; null when ready. */
  reason: string | null;
}

/** Body of `POST /v1/actions` on the gateway's socket. */
export type ActionBody =
  | {
      action: NonNullable<DecisionRequestBody['action']>;
      context: NonNullable<DecisionRequestBody['context']>;
      linked_to?: string | null;
    }
  | { decision_id: string; context: { actor: { id: string; role?: string | null } } };

/** Who called an audience's own socket, as far as its machine can tell. */
export interface KnownPeer {
  uid: number | null;
  spiffe_id?: string;
  /** Hex SHA-256. */
  certificate?: string;
}

/** An incident as the daemon shows it. `digest` is what a resume signs. */
export interface Incident {
  incident_id: string;
  state: 'open' | 'cleared';
  cause: IncidentCause;
  halt: Halt;
  detail: string;
  evidence: JsonObject;
  reporter: { kind: IncidentData['reporter']; id: string | null; role: string | null };
  opened_at: string;
  digest: string;
  record_id: number;
  cleared: { at: string; principal: string | null; role: string | null; reason: string | null } | null;
  proof?: string;
  already_open?: boolean;
}

/** A report by somebody of the roster, or by an audience on its own socket. */
export type IncidentReport =
  | {
      actor: NamedActor;
      /** Null speaks of the gateway itself. */
      target: { type: string; id: string } | null;
      detail: string;
      evidence?: JsonObject;
    }
  | {
      audience: string;
      cause: Extract<IncidentCause, 'tool_changed' | 'configuration_changed' | 'gateway_report'>;
      tool?: string;
      detail: string;
      evidence?: JsonObject;
    };

/** A break-glass session; `ledger` comes with the answer to what changed it, `decisions` (under it) when it is read alone. */
export type BreakglassSession = Session & {
  ledger?: { record_id: number; proof: string };
  decisions?: string[];
};

/** A sealed grant as the ledger accounts for it. */
export interface GrantRecord {
  id: string;
  state: 'unused' | 'used' | 'revoked' | 'expired';
  grant: Grant;
  /** What acts about it bind. */
  grant_digest: string;
  /** `here`: it was put on record when it was issued; else it came from headquarters and was used. */
  issued: { here: boolean; by: string; role: string; key: string; at: string };
  closed_at: string | null;
  /** The session that it opened. */
  session: string | null;
}

export interface RedeemGrantBody extends Partial<SignedActBody> {
  code: string;
  actor: { id: string };
  reason: string;
  fields?: Record<string, string>;
  grant?: string;
}

/** How far a site's clock can be believed. Instants are RFC 3339 in UTC. */
export interface SiteTime {
  now: string;
  trust: 'trusted' | 'floor' | 'uncertain';
  /** Why it is believed, or not. */
  cause: string;
  /** It was doubted, is right again, and is believed in some seconds. */
  settling: boolean;
  /** Since when it is not believed. */
  since: string | null;
  /** It is not earlier than this. */
  floor: string;
  /** What the clock would show if nobody had set it; null where nobody knows. */
  expected: string | null;
  /** Who may state the time; null where nobody may. */
  rules: { state_roles: string[] } | null;
  /** To be answered by a statement that is signed elsewhere. */
  challenge?: string;
  /** Log index of the entry about a statement. */
  record_id?: number;
}

/** How a self-test of the gateway went. */
export interface CanaryReport {
  verdict: 'passed' | 'failed' | 'unanswered';
  at: string;
  why: string | null;
  decision_id: string | null;
  incident_id: string | null;
}
