import { ApiProblem, ApiUnreachable, clientTlsFor } from '../api/client.ts';
import { problemOf, problemReply } from '../api/problem.ts';
import type { Admit, ApiServer } from '../api/server.ts';
import { mayCall, SITE_ACCOUNT } from '../core/caller-roles.ts';
import type { Peer } from '../engine/protocol.ts';
import type { EngineConnection } from '../gateway/engine-port.ts';
import { GATEWAY_REFUSALS } from '../gateway/refusal.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import type { CallerSources } from '../identity/callers.ts';
import { readIdentity, type TlsIdentity } from '../identity/files.ts';
import { openPeerCredentials } from '../identity/peer-credentials.ts';
import { renewIdentity, renewOnSchedule } from '../identity/rotation.ts';

/** How the gateway's socket knows its callers: it takes them down itself, and the daemon says who they are. */
export async function openGatewayPeers(
  { site, peers }: SiteConfig,
  engine: EngineConnection,
  tls: TlsIdentity | null,
  log: Logger,
): Promise<{ callers: CallerSources; admit: Admit; tls: TlsIdentity | null }> {
  const credentials = await openPeerCredentials();
  if (credentials.trouble !== null) log.warn({}, `nobody is known by a local user: ${credentials.trouble}`);
  return {
    callers: { site, credentials, register: null },
    admit: admitByDaemon(engine, peers.require_identity),
    tls,
  };
}

/** The daemon's word on a caller. While it cannot be had nothing is let through, but a look at the gateway's own state. */
function admitByDaemon(engine: EngineConnection, required: boolean): Admit {
  return async (peer, method, actor) => {
    try {
      return { status: 200, body: JSON.stringify(await engine.identify(peer, { method, actor })) };
    } catch (error) {
      if (error instanceof ApiProblem) return { status: error.status, body: JSON.stringify(error.body) };
      if (!(error instanceof ApiUnreachable)) throw error;
      if (mayLook(peer, method, required)) return { status: 200, body: '{"principal":null}' };
      const code = 'gateway.engine_unreachable';
      const detail = `The daemon did not say who the caller is: ${error.message}. No tool was started. Check that the daemon runs.`;
      return problemReply(problemOf(GATEWAY_REFUSALS[code], code, detail));
    }
  };
}

function mayLook({ uid }: Peer, method: string, required: boolean): boolean {
  if (method === 'actions.execute') return false;
  const account = uid !== null && (uid === 0 || uid === process.geteuid?.());
  return !required || (account && mayCall(SITE_ACCOUNT, method));
}

/** Renews the gateway's certificate by schedule, on both of its sides. Returns what ends that. */
export function rotateGateway(
  { site, peers }: SiteConfig,
  parts: { paths: SitePaths; engine: EngineConnection; server: ApiServer; log: Logger },
): Promise<() => Promise<void>> {
  if (!peers.tls) return Promise.resolve(() => Promise.resolve());
  const { paths, engine, server, log } = parts;
  const renew = async (): Promise<void> => {
    const identity = await renewIdentity(paths, 'gateway', (csr) => engine.renewCertificate(csr));
    engine.useIdentity(clientTlsFor(site, 'daemon', identity));
    server.renew(identity);
    // The first call over the new certificate ends the old one.
    await engine.ready();
  };
  return renewOnSchedule(peers.rotate, renew, log);
}

/** What the gateway shows on both sides; null where the sockets are plain. */
export function gatewayIdentity({ peers }: SiteConfig, paths: SitePaths): TlsIdentity | null {
  return peers.tls ? readIdentity(paths, 'gateway') : null;
}
