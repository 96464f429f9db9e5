import { join } from 'node:path';
import { measureAnchors } from '../api/anchor-metrics.ts';
import { measureHealth } from '../api/health-metrics.ts';
import { Metrics } from '../api/metrics.ts';
import { measureHeld } from '../api/policy-metrics.ts';
import { type ApiServer, type SocketKind, startApiServer } from '../api/server.ts';
import { type DaemonParts, daemonServices, readStatus } from '../api/services.ts';
import { measureTime } from '../api/time-metrics.ts';
import { ledgerSigner } from '../engine/compose.ts';
import { startEngine } from '../engine/handle.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { takeSockets } from '../host/activation.ts';
import { systemClock } from '../host/clock.ts';
import { loadConfig, type SiteConfig } from '../host/config.ts';
import { groupId } from '../host/group.ts';
import { createLogger, type Logger } from '../host/log.ts';
import { shedAtRest, shedMemory } from '../host/memory.ts';
import { openServiceManager } from '../host/notify.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import { withIdTokens } from '../identity/check-id-tokens.ts';
import type { ImportRequest, ImportResult } from '../policy/import.ts';
import { hasReceipt, ReceiptBook } from '../policy/receipts.ts';
import { clearStaging } from '../policy/staging.ts';
import { PolicyStore } from '../policy/store.ts';
import { openCompanions } from './daemon-companions.ts';
import { daemonFitness } from './daemon-fitness.ts';
import { superviseBy } from './self-check.ts';
import { stopSignal } from './stop-signal.ts';

/** The daemon's sockets: one per kind of caller, each with its own share of the method table. */
const SOCKETS: readonly Exclude<SocketKind, 'gateway'>[] = ['request', 'redeem', 'operator'];
/** How long an orderly stop waits for answers that are under way. */
const GRACE_MS = 10_000;

/**
 * The daemon: engine, ledger, policy store and their sockets. Resolves after an orderly stop (SIGTERM, SIGINT); rejects
 * when it cannot start, or when the engine's thread ends by itself: then nothing is answered any more, and whoever
 * supervises the process starts it again.
 */
export async function runDaemon({ dir }: { dir: string }): Promise<void> {
  const config = loadConfig(dir);
  const paths = sitePaths(dir);
  const log = createLogger('daemon', config.log.level);
  const handedOver = takeSockets(SOCKETS);
  const manager = await openServiceManager();
  const gone = Promise.withResolvers<never>();
  // Raced below. An engine that does not even start says so through `startEngine`, before anyone waits for this.
  gone.promise.catch(() => {});
  const starting = startEngine(dir, gone.reject);
  // The engine's thread takes longer to begin than this takes.
  shedMemory();
  shedAtRest();
  const engine = withIdTokens(await starting);
  const stopped = stopSignal();
  clearStaging(paths.state);
  const store = new PolicyStore(paths.policy);
  const receipts = receiptsOf(paths, config, engine);
  followOutcomes(engine, receipts, log);
  const metrics = new Metrics();
  measureHeld(metrics.registry, engine);
  measureTime(metrics.registry, engine);
  measureAnchors(metrics.registry, engine);
  metrics.followLedger(engine);
  const startedAt = systemClock.monotonic();
  const companions = await openCompanions({ config, paths, engine, store, receipts, log });
  const parts: DaemonParts = {
    engine,
    policyUpdate: async (digest, environment) =>
      store.readUpdate(digest, await activeUpdate(engine), environment),
    importPolicy: (path, actor) =>
      importAside(path, actor ?? 'operator', { engine, store, site: config.site, paths, receipts }),
    extraStatus: () => ({
      uptime_ms: Math.round(systemClock.monotonic() - startedAt),
      pid: process.pid,
      ...companions.status(),
    }),
    extraDegraded: () => companions.degraded().map((one) => ({ ...one })),
  };
  measureHealth(metrics.registry, () => readStatus(parts));
  companions.measure(metrics.registry);
  const host = { ...daemonServices(parts), ...companions.services };
  const servers: ApiServer[] = [];
  for (const socket of SOCKETS) {
    const fd = handedOver.get(socket);
    const listen = fd === undefined ? { path: join(paths.run, `${socket}.sock`), ...access(config) } : { fd };
    const { limits } = config;
    servers.push(
      await startApiServer({ socket, listen, engine, host, limits, metrics, log, ...companions.server }),
    );
  }
  const end = await companions.start(servers);
  const fitness = daemonFitness(config, paths, engine, systemClock);
  const release = await superviseBy(manager, fitness, log);
  log.info({ site: config.site, profile: config.profile, run: paths.run }, 'ready');
  const signal = await Promise.race([stopped, gone.promise]);
  release();
  await end(() => stop(servers, engine, signal, log));
}

function receiptsOf(paths: SitePaths, config: SiteConfig, engine: EngineHandle): ReceiptBook {
  const { site, profile } = config;
  return new ReceiptBook({
    paths,
    site,
    profile,
    engine,
    signer: () => ledgerSigner(paths, config),
  });
}

/**
 * A receipt for everything that becomes of an update, whether an import or the clock brought it about. A crash may have
 * come between an entry and its receipt, so it starts with those.
 */
function followOutcomes(engine: EngineHandle, receipts: ReceiptBook, log: Logger): void {
  const make = () => {
    receipts.newest().catch((error) => log.warn({ err: error }, 'a receipt could not be written'));
  };
  engine.onEvents((events) => {
    if (events.some(({ stream, type }) => stream === 'policy' && hasReceipt(type))) make();
  });
  make();
}

/** Imports are rare; what they take is loaded with the first one. */
async function importAside(
  path: string,
  who: string,
  parts: Pick<ImportRequest, 'engine' | 'store' | 'site' | 'paths'> & { receipts: ReceiptBook },
): Promise<ImportResult> {
  const { importUpdate } = await import('../policy/import.ts');
  const { judgeAside } = await import('../policy/judge-aside.ts');
  return importUpdate({ path, who, ...parts, clock: systemClock, simulate: true, judge: judgeAside });
}

/** Id of the update in force, as the ledger has it; null when there is none. */
async function activeUpdate(engine: EngineHandle): Promise<string | null> {
  const answer = await engine.call(internal('policy.get', null));
  return (JSON.parse(textOf(answer)) as { update_id?: string | null }).update_id ?? null;
}

function access(config: SiteConfig): { mode: number; gid?: number } {
  const { group, mode } = config.sockets;
  return group === null ? { mode } : { mode, gid: groupId(group) };
}

/** Sockets first, so that what was accepted is answered; then the engine, which finishes and says `system.stopped`. */
async function stop(
  servers: readonly ApiServer[],
  engine: { stop(reason: string): Promise<void> },
  signal: string,
  log: Logger,
): Promise<void> {
  log.info({ signal }, 'stopping');
  await Promise.all(servers.map((server) => server.stop(GRACE_MS)));
  await engine.stop(signal);
  log.info({}, 'stopped');
}
