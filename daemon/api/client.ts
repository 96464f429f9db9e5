import type { ShownAnomaly } from '../core/anomaly.ts';
import type { DecisionStatus } from '../core/decision.ts';
import type { ProvenEntry } from '../formats/approval-request.ts';
import type { Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type {
  ActionBody,
  BreakglassSession,
  CanaryReport,
  DecisionReply,
  DecisionRequestBody,
  GrantRecord,
  Incident,
  IncidentReport,
  KnownPeer,
  NamedActor,
  OpenPermit,
  OutcomeDetail,
  OutcomeResult,
  PolicyUpdate,
  Readiness,
  Redeemed,
  RedeemGrantBody,
  SignedActBody,
  SiteTime,
  SuspendedKey,
} from './client-bodies.ts';
import { part, RecordsClient } from './client-records.ts';
import { ApiProblem, type Call, type CallOptions } from './client-transport.ts';
import { durationMs } from './duration.ts';

export type * from '../core/anchor-report.ts';
export type * from './client-anchors.ts';
export type * from './client-bodies.ts';
export type * from './client-envelopes.ts';
export { type ClientTls, clientTlsFor } from './client-identity.ts';
export type * from './client-keys.ts';
export type * from './client-reading.ts';
export type * from './client-retention.ts';
export { ApiProblem, ApiUnreachable, type CallOptions, type UnreachableReason } from './client-transport.ts';

/**
 * Client of one socket of the daemon or the gateway. Connections are kept alive and reused; `close` drops them.
 *
 * Every method throws `ApiProblem` when the server says no, and `ApiUnreachable` when no answer came.
 */
export class ApiClient extends RecordsClient {
  /** Asks for a decision. `wait` (`30s`; 60 s at most) holds the answer back while the decision is pending. */
  async createDecision(
    request: DecisionRequestBody,
    options: CallOptions & { wait?: string; idempotencyKey?: string } = {},
  ): Promise<DecisionReply> {
    return this.json({ verb: 'POST', path: '/v1/decisions', body: request, ...waiting(options) });
  }

  async getDecision(
    id: string,
    options: CallOptions & { wait?: string; read?: number } = {},
  ): Promise<DecisionReply> {
    const { read, ...others } = options;
    const call = waiting(others);
    return this.json({
      verb: 'GET',
      path: `/v1/decisions/${part(id)}`,
      ...call,
      query: { ...call.query, read },
    });
  }

  /** Every entry about a decision, oldest first, each with its inclusion proof under the one checkpoint. Unverified. */
  decisionEntries(id: string): Promise<{ checkpoint: string; entries: ProvenEntry[] }> {
    return this.json({ verb: 'GET', path: `/v1/decisions/${part(id)}/entries` });
  }

  /** What a decision's verdict is when it is judged again under its own bundle. */
  replay(id: string): Promise<JsonObject> {
    return this.json({ verb: 'GET', path: `/v1/decisions/${part(id)}/replay` });
  }

  /** A page of decisions; `next` is the `after` of the following page, null on the last. */
  listDecisions(
    query: { status?: DecisionStatus; after?: string; limit?: number } = {},
  ): Promise<{ decisions: DecisionReply[]; next: string | null; elsewhere?: string[] }> {
    return this.json({ verb: 'GET', path: '/v1/decisions', query });
  }

  /** Submits a signed act: an approval, rejection or exception (`approvals`), a review or a reconciliation. */
  submitAct(
    id: string,
    to: 'approvals' | 'review' | 'reconcile',
    act: SignedActBody,
  ): Promise<DecisionReply> {
    return this.json({ verb: 'POST', path: `/v1/decisions/${part(id)}/${to}`, body: act });
  }

  cancel(id: string, body: { actor: NamedActor; reason: string }): Promise<DecisionReply> {
    return this.json({ verb: 'POST', path: `/v1/decisions/${part(id)}/cancel`, body });
  }

  review(id: string, body: { actor: NamedActor; note: string } | SignedActBody): Promise<DecisionReply> {
    return this.json({ verb: 'POST', path: `/v1/decisions/${part(id)}/review`, body });
  }

  reconcile(id: string, act: SignedActBody): Promise<DecisionReply> {
    return this.submitAct(id, 'reconcile', act);
  }

  /** Consumes a permit. Never retried: after `ApiUnreachable` with `sent`, it may have been redeemed. */
  redeem(
    id: string,
    body: { audience: string; action_digest: string },
    options: CallOptions = {},
  ): Promise<Redeemed> {
    return this.json({ verb: 'POST', path: `/v1/permits/${part(id)}/redeem`, body, ...options });
  }

  outcome(
    id: string,
    body: { audience: string; result: OutcomeResult; detail?: OutcomeDetail },
    options: CallOptions = {},
  ): Promise<DecisionReply> {
    return this.json({ verb: 'POST', path: `/v1/permits/${part(id)}/outcome`, body, ...options });
  }

  /** Permits that this audience redeemed without reporting an outcome yet. */
  async openPermits(audience: string, options: CallOptions = {}): Promise<OpenPermit[]> {
    const query = { audience, state: 'redeemed' };
    const reply = await this.json<{ permits: OpenPermit[] }>({
      verb: 'GET',
      path: '/v1/permits',
      query,
      ...options,
    });
    return reply.permits;
  }

  policy(): Promise<JsonObject> {
    return this.json({ verb: 'GET', path: '/v1/policy' });
  }

  /** The newest entries about policy, oldest of them first. */
  policyHistory(limit: number): Promise<{ total: number; entries: { index: number; entry: Entry }[] }> {
    return this.json({ verb: 'GET', path: '/v1/policy/history', query: { limit } });
  }

  /** The signed files under which the bundle with this digest was authorized (for `environment`); unverified. */
  policyUpdate(
    digest?: string,
    { environment, ...options }: CallOptions & { environment?: string } = {},
  ): Promise<PolicyUpdate> {
    return this.json({ verb: 'GET', path: '/v1/policy/update', query: { digest, environment }, ...options });
  }

  /** The update that waits to be put in force; `{held: null}` when none does. */
  heldPolicy(): Promise<JsonObject> {
    return this.json({ verb: 'GET', path: '/v1/policy/held' });
  }

  /** Submits a signed act about it: its release or rejection. */
  releasePolicy(id: string, act: SignedActBody): Promise<JsonObject> {
    return this.json({ verb: 'POST', path: `/v1/policy/held/${part(id)}/release`, body: act });
  }

  /** Throws `ApiProblem` when the update was refused; its `body` holds what became of it beside code and words. */
  importPolicy(
    path: string,
    { actor, ...options }: CallOptions & { actor?: string | null } = {},
  ): Promise<JsonObject> {
    return this.json({
      verb: 'POST',
      path: '/v1/policy/import',
      body: { path, ...(actor === undefined || actor === null ? {} : { actor }) },
      timeoutMs: 600_000,
      ...options,
    });
  }

  /** Reports an act without a permit; the answer is the incident, as it stands now. */
  openIncident(body: IncidentReport, options: CallOptions = {}): Promise<Incident> {
    return this.json({ verb: 'POST', path: '/v1/incidents', body, ...options });
  }

  incidents(
    query: { state?: 'open' | 'all'; after?: string; limit?: number } = {},
  ): Promise<{ incidents: Incident[]; next: string | null }> {
    return this.json({ verb: 'GET', path: '/v1/incidents', query });
  }

  incident(id: string): Promise<Incident> {
    return this.json({ verb: 'GET', path: `/v1/incidents/${part(id)}` });
  }

  resumeIncident(id: string, act: SignedActBody): Promise<Incident> {
    return this.json({ verb: 'POST', path: `/v1/incidents/${part(id)}/resume`, body: act });
  }

  /** Submits a signed suspension of a key or principal. */
  suspendKey(act: SignedActBody): Promise<JsonObject> {
    return this.json({ verb: 'POST', path: '/v1/keys/suspend', body: act });
  }

  /** What was out of the ordinary, newest first, older than the entry `before`. */
  anomalies(
    query: { before?: number; limit?: number } = {},
  ): Promise<{ anomalies: ShownAnomaly[]; next: number | null }> {
    return this.json({ verb: 'GET', path: '/v1/anomalies', query });
  }

  suspendedKeys(): Promise<{ suspended: SuspendedKey[] }> {
    return this.json({ verb: 'GET', path: '/v1/keys/suspended' });
  }

  /** How far the site's clock can be believed, with a fresh challenge for a statement of the time. */
  time(): Promise<SiteTime & { challenge: string }> {
    return this.json({ verb: 'GET', path: '/v1/time' });
  }

  /** Submits a signed statement of the time; the answer says what the clock counts for now. */
  stateTime(statement: SignedActBody): Promise<SiteTime> {
    return this.json({ verb: 'POST', path: '/v1/time/statements', body: statement });
  }

  /** Has the daemon test its gateway. */
  runCanary(): Promise<CanaryReport> {
    return this.json({ verb: 'POST', path: '/v1/canary', timeoutMs: 60_000 });
  }

  status(): Promise<JsonObject> {
    return this.json({ verb: 'GET', path: '/v1/status' });
  }

  /** Whether the server would allow anything right now. Not ready is an answer, not an error. */
  async ready(options: CallOptions = {}): Promise<Readiness> {
    try {
      await this.json<JsonObject>({ verb: 'GET', path: '/v1/ready', ...options });
      return { ready: true, reason: null };
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 503) return { ready: false, reason: error.detail };
      throw error;
    }
  }

  /** Breaks the glass: `scope` is the exact text that the act binds. */
  activateBreakglass(body: SignedActBody & { scope: string }): Promise<BreakglassSession> {
    return this.json({ verb: 'POST', path: '/v1/breakglass', body });
  }

  /** Sessions that are open or wait for review; with `all`, every one, a page at a time. */
  breakglassSessions(
    query: { all?: 'true'; after?: string; limit?: number } = {},
  ): Promise<{ sessions: BreakglassSession[]; next: string | null }> {
    return this.json({ verb: 'GET', path: '/v1/breakglass', query });
  }

  breakglassSession(id: string): Promise<BreakglassSession> {
    return this.json({ verb: 'GET', path: `/v1/breakglass/${part(id)}` });
  }

  /** Ends or reviews a session. */
  submitBreakglassAct(id: string, to: 'end' | 'review', act: SignedActBody): Promise<BreakglassSession> {
    return this.json({ verb: 'POST', path: `/v1/breakglass/${part(id)}/${to}`, body: act });
  }

  issueGrant(body: SignedActBody & { grant: string }): Promise<GrantRecord> {
    return this.json({ verb: 'POST', path: '/v1/grants', body });
  }

  /** A page of the sealed grants that the ledger knows. */
  grants(
    query: { after?: string; limit?: number } = {},
  ): Promise<{ grants: GrantRecord[]; next: string | null }> {
    return this.json({ verb: 'GET', path: '/v1/grants', query });
  }

  grant(id: string): Promise<GrantRecord> {
    return this.json({ verb: 'GET', path: `/v1/grants/${part(id)}` });
  }

  /** Uses a sealed grant up; the answer is the session that it opened. */
  redeemGrant(id: string, body: RedeemGrantBody): Promise<BreakglassSession> {
    return this.json({ verb: 'POST', path: `/v1/grants/${part(id)}/redeem`, body });
  }

  revokeGrant(id: string, act: SignedActBody): Promise<GrantRecord> {
    return this.json({ verb: 'POST', path: `/v1/grants/${part(id)}/revoke`, body: act });
  }

  /** Has the gateway act. A refusal after the decision is an `ApiProblem` whose body carries the decision. */
  action(body: ActionBody, options: CallOptions & { idempotencyKey?: string } = {}): Promise<JsonObject> {
    return this.json({ verb: 'POST', path: '/v1/actions', body, ...options });
  }

  /** Whether somebody who called this audience's own socket may do so, in the name of an actor if one is given. */
  identify(
    peer: KnownPeer,
    { method, actor }: { method: string; actor: string | null },
    options: CallOptions = {},
  ): Promise<{ principal: string | null }> {
    const { uid, spiffe_id, certificate } = peer;
    const body = { uid, spiffe_id, certificate, method, actor };
    return this.json({ verb: 'POST', path: '/v1/peers/identify', body, ...options });
  }

  /** A certificate in place of the one that this client shows, for the key of the request (PKCS #10, PEM). */
  renewCertificate(csr: string): Promise<{ certificate: string; authority: string }> {
    return this.json({ verb: 'POST', path: '/v1/tls/renew', body: { csr } });
  }
}

/** `wait` goes into the query, and the client's patience grows by it. */
function waiting<T extends { wait?: string }>(options: T): T & Pick<Call, 'query' | 'waitMs'> {
  if (options.wait === undefined) return options;
  return { ...options, query: { wait: options.wait }, waitMs: durationMs(options.wait) };
}
