import { createServer } from 'node:http';
import { join } from 'node:path';
import { type Judgement, type RoundReport, runRound } from '../../sync/round.ts';
import { checkSchedule, runScheduled } from '../../sync/schedule.ts';
import { ApiClient, ApiProblem, ApiUnreachable, type ClientTls, clientTlsFor } from '../api/client.ts';
import { listenOn } from '../api/listen.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { systemClock } from '../host/clock.ts';
import type { PeersConfig } from '../host/config/peers.ts';
import type { SyncConfig } from '../host/config/sync.ts';
import { loadConfig } from '../host/config.ts';
import { makeDir } from '../host/durable-file.ts';
import { createLogger, type Logger } from '../host/log.ts';
import { openServiceManager } from '../host/notify.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import { readIdentity } from '../identity/files.ts';
import { renewIdentity, renewOnSchedule } from '../identity/rotation.ts';
import { superviseBy } from './self-check.ts';
import { assertTlsSetUp } from './tls-set-up.ts';

/**
 * The sync process: it alone speaks to the network, holds no key but that of its TLS certificate, and writes only into
 * inbox and its own directory. Resolves after an orderly stop (SIGTERM, SIGINT), with the report of the only round when
 * `once`, else null. Rejects with a BoundaryError when it is not set up, or another sync runs at this site.
 */
export async function runSync({ dir, once }: { dir: string; once: boolean }): Promise<RoundReport | null> {
  const { sync: config, site, peers, log: logging } = loadConfig(dir);
  const paths = sitePaths(dir);
  if (config === null) throw notConfigured(paths.config);
  checkSchedule(config.schedule);
  if (peers.tls) assertTlsSetUp(paths, 'sync');
  const log = createLogger('sync', once ? 'silent' : logging.level);
  const manager = await openServiceManager();
  const release = await claim(paths);
  const stop = stopSignal();
  try {
    const round = (signal: AbortSignal): Promise<RoundReport> =>
      runRound({
        config,
        paths,
        site,
        signal,
        now: systemClock.now,
        offer: (path) => offerTo(paths, path, identityOf(site, peers.tls, paths)),
      });
    if (once) return await round(stop);
    // What is wrong on this side ends the process now, not in the night.
    log.info({ site, mirror: config.mirror, schedule: config.schedule }, 'ready');
    const fit = { trouble: null, status: `rounds by schedule: ${config.schedule}` };
    const end = await superviseBy(manager, () => Promise.resolve(fit), log);
    const endRotation = peers.tls ? await rotate(site, peers, paths, log) : null;
    await keepRounds(config, round, stop, log);
    end();
    await endRotation?.();
    log.info({}, 'stopped');
    return null;
  } finally {
    await release();
  }
}

function keepRounds(
  { schedule, jitterMs }: SyncConfig,
  round: (signal: AbortSignal) => Promise<RoundReport>,
  stop: AbortSignal,
  log: Logger,
): Promise<void> {
  const logged = async (signal: AbortSignal): Promise<boolean> => {
    try {
      const report = await round(signal);
      for (const failure of report.failures) log.warn({ code: failure.code }, failure.message);
      const { mirror, imported, carried, witnessed } = report;
      const counts = { sent: carried?.sent.length ?? 0, acknowledged: carried?.acknowledged.length ?? 0 };
      log.info({ mirror: mirror?.digest ?? null, imported, ...counts, witnessed }, 'round');
      return report.failures.length === 0;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      log.error({ code: error.code }, error.message);
      return false;
    }
  };
  const words = { info: (text: unknown) => log.debug(String(text)), debug: () => {} };
  const cron = { ...words, warn: words.info, error: (text: unknown) => log.error(String(text)) };
  return runScheduled({ schedule, jitterMs, round: logged, log: cron }, stop);
}

/** The daemon's judgement of the mirror. Null when there is no daemon, or this process may not ask it: the mirror stays in inbox. */
async function offerTo(paths: SitePaths, path: string, tls: ClientTls | null): Promise<Judgement | null> {
  const client = new ApiClient({ socketPath: join(paths.run, 'operator.sock'), tls });
  try {
    const answer = await client.importPolicy(path);
    if (answer.applied === true) return { applied: true, unchanged: answer.unchanged === true };
    const held = answer.held === true ? { held: true as const } : {};
    return { applied: false, ...held, code: String(answer.code), reason: String(answer.reason) };
  } catch (error) {
    if (error instanceof ApiUnreachable) return null;
    if (!(error instanceof ApiProblem)) throw error;
    // Whom the daemon does not answer has not been told anything about the update.
    if (error.status === 403 || error.status === 429 || error.status >= 500) return null;
    return { applied: false, code: error.code, reason: error.detail };
  } finally {
    client.close();
  }
}

/** Renews the certificate that the daemon knows this process by. */
function rotate(
  site: string,
  { rotate: schedule }: PeersConfig,
  paths: SitePaths,
  log: Logger,
): Promise<() => Promise<void>> {
  const renew = async (): Promise<void> => {
    const tls = identityOf(site, true, paths);
    const client = new ApiClient({ socketPath: join(paths.run, 'operator.sock'), tls });
    try {
      await renewIdentity(paths, 'sync', (csr) => client.renewCertificate(csr));
    } finally {
      client.close();
    }
  };
  return renewOnSchedule(schedule, renew, log);
}

/** Read anew for every round: it may have been renewed meanwhile. */
function identityOf(site: string, tls: boolean, paths: SitePaths): ClientTls | null {
  return tls ? clientTlsFor(site, 'operator', readIdentity(paths, 'sync')) : null;
}

/** Two of them would write the same partial mirror: the second is told `socket.in_use`. Ends with the process, however it ends. */
async function claim(paths: SitePaths): Promise<() => Promise<void>> {
  makeDir(paths.sync, 0o700);
  const server = createServer((_request, response) => response.destroy());
  await listenOn(server, { path: join(paths.sync, 'running.sock'), mode: 0o600 });
  return () =>
    new Promise((done) => {
      server.close(() => done());
      server.closeAllConnections();
    });
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

function notConfigured(path: string): BoundaryError {
  return new BoundaryError(
    'config.no_sync',
    `${path} has no section "sync"; nothing was started. It needs mirror, hosts, certificate, key and ca; docs/operate/sync.md shows one. Policy also arrives by medium: holdfast import PATH`,
    { at: '/sync' },
  );
}
