import { existsSync } from 'node:fs';
import { admitBy, type PeerParts, peerServices, type Renewal } from '../api/peer-services.ts';
import type { Admit, ApiServer, HostServices } from '../api/server.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import { systemClock } from '../host/clock.ts';
import type { SiteConfig } from '../host/config.ts';
import { findKek } from '../host/kek.ts';
import type { KeyEncryptionKey } from '../host/key-wrap.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import type { CallerSources } from '../identity/callers.ts';
import { readIdentity, registerDirectory, type TlsIdentity } from '../identity/files.ts';
import { openPeerCredentials } from '../identity/peer-credentials.ts';
import { Register } from '../identity/register.ts';
import { renewOnSchedule } from '../identity/rotation.ts';
import { certificateIn } from '../identity/tls.ts';
import { assertTlsSetUp } from './tls-set-up.ts';

/** How the daemon's sockets know their callers. */
export interface DaemonPeers {
  /** For every socket's server. */
  server: { callers: CallerSources; admit: Admit; tls: TlsIdentity | null };
  services: HostServices;
  status(): JsonObject;
  /** Renews the daemon's own certificates by schedule, while the servers run. Returns what ends that. */
  rotate(servers: readonly ApiServer[]): Promise<() => Promise<void>>;
}

/** Opens what is needed to know callers. Throws BoundaryError `tls.not_set_up` where TLS is demanded and cannot be had. */
export async function openPeers(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): Promise<DaemonPeers> {
  const { site, peers } = config;
  const credentials = await openPeerCredentials();
  if (credentials.trouble !== null) log.warn({}, `nobody is known by a local user: ${credentials.trouble}`);
  if (peers.tls) assertTlsSetUp(paths, 'daemon');
  const directory = registerDirectory(paths);
  const register = existsSync(directory) ? new Register(directory) : null;
  const parts: PeerParts = { engine, register, renew: (renewal) => certify(paths, config, renewal) };
  return {
    server: {
      callers: { site, credentials, register },
      admit: admitBy(engine),
      tls: peers.tls ? readIdentity(paths, 'daemon') : null,
    },
    services: peerServices(parts),
    status: () => ({ tls: peers.tls, kernel: credentials.trouble }),
    rotate: (servers) =>
      peers.tls
        ? renewOnSchedule(peers.rotate, () => renewOwn(paths, site, servers, findKek(config.secrets)), log)
        : Promise.resolve(() => Promise.resolve()),
  };
}

/** A certificate for the key of whoever showed one before. The library that makes it is large, and seldom needed. */
async function certify(
  paths: SitePaths,
  { site, secrets }: SiteConfig,
  { spiffe_id, fingerprint, csr }: Renewal,
) {
  const { loadAuthority, renewByRequest } = await import('../identity/issue.ts');
  const { authorityFile, readPem } = await import('../identity/files.ts');
  const issuing = {
    paths,
    site,
    now: systemClock.now(),
    authority: await loadAuthority(paths, findKek(secrets)),
  };
  const name = spiffe_id.slice(spiffe_id.lastIndexOf('/') + 1);
  const { pem } = await renewByRequest(issuing, { name, spiffe_id, fingerprint }, csr);
  return { certificate: pem, authority: readPem(authorityFile(paths)) };
}

/** The daemon's own certificate, and that of the site's account, whose files are the daemon's too. */
export async function renewOwn(
  paths: SitePaths,
  site: string,
  servers: readonly ApiServer[],
  kek: KeyEncryptionKey | null = null,
): Promise<void> {
  const { issueRole, loadAuthority } = await import('../identity/issue.ts');
  const issuing = { paths, site, now: systemClock.now(), authority: await loadAuthority(paths, kek) };
  for (const role of ['daemon', 'account'] as const) {
    const { fingerprint } = certificateIn(readIdentity(paths, role).certificate);
    await issueRole(issuing, role, fingerprint);
  }
  const identity = readIdentity(paths, 'daemon');
  for (const server of servers) server.renew(identity);
}
