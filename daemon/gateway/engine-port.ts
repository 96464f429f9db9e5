import { join } from 'node:path';
import {
  ApiClient,
  type ClientTls,
  type DecisionReply,
  type DecisionRequestBody,
  type IncidentReport,
  type KnownPeer,
  type OpenPermit,
  type PolicyUpdate,
  type Readiness,
  type Redeemed,
} from '../api/client.ts';
import type { SitePaths } from '../host/site.ts';
import type { OutcomeDetail, RunResult } from './connectors/run.ts';

/** What the gateway says when it finds something wrong; the audience is its own. */
export type Finding = Omit<Extract<IncidentReport, { audience: string }>, 'audience'>;

/**
 * What the gateway asks of the engine. Nothing that comes back is believed before it is verified. Both failures of the
 * client pass through: `ApiProblem` (the engine said no) and `ApiUnreachable` (`sent` tells whether it may have acted).
 */
export interface EnginePort {
  createDecision(request: DecisionRequestBody, idempotencyKey: string | null): Promise<DecisionReply>;
  getDecision(id: string): Promise<DecisionReply>;
  redeem(permitId: string, actionDigest: string): Promise<Redeemed>;
  outcome(permitId: string, result: RunResult, detail: OutcomeDetail): Promise<DecisionReply>;
  openPermits(): Promise<OpenPermit[]>;
  policyUpdate(digest: string, environment: string): Promise<PolicyUpdate>;
  /** The signed files of what is in force now. */
  newestUpdate(): Promise<PolicyUpdate>;
  /** Tells the engine what is wrong; it opens an incident and halts what that concerns. */
  reportIncident(finding: Finding): Promise<unknown>;
  /** Whether the engine could allow anything right now. */
  ready(): Promise<Readiness>;
  close(): void;
}

/** The port with what only its keeper needs: who calls the gateway, and the certificate that it shows itself. */
export interface EngineConnection extends EnginePort {
  /** Whether a caller of the gateway's own socket may do so; throws `ApiProblem` when it may not. */
  identify(
    peer: KnownPeer,
    call: { method: string; actor: string | null },
  ): Promise<{ principal: string | null }>;
  renewCertificate(csr: string): Promise<{ certificate: string }>;
  useIdentity(tls: ClientTls): void;
}

/** Asks on `request.sock`, as any requester; redeems and reports on `redeem.sock`, as `audience`. */
export function engineOverSockets(
  paths: SitePaths,
  audience: string,
  tls: ClientTls | null = null,
): EngineConnection {
  const requests = new ApiClient({ socketPath: join(paths.run, 'request.sock'), tls });
  const permits = new ApiClient({ socketPath: join(paths.run, 'redeem.sock'), tls });
  return {
    createDecision: (request, key) =>
      requests.createDecision(request, key === null ? {} : { idempotencyKey: key }),
    getDecision: (id) => requests.getDecision(id),
    redeem: (id, actionDigest) => permits.redeem(id, { audience, action_digest: actionDigest }),
    outcome: (id, result, detail) => permits.outcome(id, { audience, result, detail }),
    openPermits: () => permits.openPermits(audience),
    policyUpdate: (digest, environment) => permits.policyUpdate(digest, { environment }),
    newestUpdate: () => permits.policyUpdate(),
    reportIncident: (finding) => permits.openIncident({ audience, ...finding }, { timeoutMs: 5_000 }),
    identify: (peer, call) => permits.identify(peer, call, { timeoutMs: 5_000 }),
    renewCertificate: (csr) => permits.renewCertificate(csr),
    useIdentity: (identity) => {
      requests.useIdentity(identity);
      permits.useIdentity(identity);
    },
    ready: () => requests.ready({ timeoutMs: 5_000 }),
    close: () => {
      requests.close();
      permits.close();
    },
  };
}
