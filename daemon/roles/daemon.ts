import { join } from 'node:path';
import { measureAnchors } from '../api/anchor-metrics.ts';
import { measureCopy } from '../api/copy-metrics.ts';
import { measureHealth } from '../api/health-metrics.ts';
import { Metrics } from '../api/metrics.ts';
import { measureHeld } from '../api/policy-metrics.ts';
import { measureKeeping } from '../api/retention-metrics.ts';
import { type ApiServer, type SocketKind, startApiServer } from '../api/server.ts';
import { type DaemonParts, daemonServices, readStatus } from '../api/services.ts';
import { measureTime } from '../api/time-metrics.ts';
import { ledgerSigner } from '../engine/compose.ts';
import { startEngine } from '../engine/handle.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { systemClock } from '../host/clock.ts';
import { loadConfig, type SiteConfig } from '../host/config.ts';
import { groupId } from '../host/group.ts';
import { createLogger, type Logger } from '../host/log.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import { withIdTokens } from '../identity/check-id-tokens.ts';
import { importUpdate } from '../policy/import.ts';
import { judgeAside } from '../policy/judge-aside.ts';
import { hasReceipt, ReceiptBook } from '../policy/receipts.ts';
import { clearStaging } from '../policy/staging.ts';
import { PolicyStore } from '../policy/store.ts';
import { openAnchors } from './daemon-anchors.ts';
import { openCopies } from './daemon-copies.ts';
import { rotateEnvelopes } from './daemon-envelopes.ts';
import { evidenceServices } from './daemon-evidence.ts';
import { openIntegrity } from './daemon-integrity.ts';
import { rotateKeys } from './daemon-keys.ts';
import { openOutbox } from './daemon-outbox.ts';
import { openPeers } from './daemon-peers.ts';
import { openRetention } from './daemon-retention.ts';
import { openSearch } from './daemon-search.ts';
import { openSiem } from './daemon-siem.ts';
import { openWatch } from './daemon-watch.ts';
import { openWitnesses } from './daemon-witnesses.ts';

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
  const gone = Promise.withResolvers<never>();
  // Raced below. An engine that does not even start says so through `startEngine`, before anyone waits for this.
  gone.promise.catch(() => {});
  const engine = withIdTokens(await startEngine(dir, gone.reject));
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
  const outbox = openOutbox(config, paths, engine, receipts, log);
  const anchors = openAnchors(config, paths, engine, log);
  const witnesses = openWitnesses(paths, engine, log);
  const peers = await openPeers(config, paths, engine, log);
  const watch = openWatch(config, paths, engine, log);
  const copies = openCopies(config, paths, engine, log);
  const siem = openSiem(config, paths, ledgerSigner(paths, config).name, log);
  const search = openSearch(config, paths, ledgerSigner(paths, config).name, log);
  const retention = openRetention(config, paths, engine, log);
  const integrity = openIntegrity(config, paths, engine, log);
  const parts: DaemonParts = {
    engine,
    policyUpdate: async (digest, environment) =>
      store.readUpdate(digest, await activeUpdate(engine), environment),
    importPolicy: (path, actor) =>
      importUpdate({
        path,
        engine,
        store,
        clock: systemClock,
        site: config.site,
        paths,
        receipts,
        simulate: true,
        judge: judgeAside,
        who: actor ?? 'operator',
      }),
    extraStatus: () => ({
      uptime_ms: Math.round(systemClock.monotonic() - startedAt),
      pid: process.pid,
      peers: peers.status(),
      outbox: outbox.status(),
      canary: watch.status(),
      ...copies.status(),
      siem: siem.status(),
      search: search.status(),
      retention: retention.status(),
      integrity: integrity.status(),
    }),
    extraDegraded: () =>
      [
        ...watch.degraded(),
        ...copies.degraded(),
        ...siem.degraded(),
        ...search.degraded(),
        ...retention.degraded(),
        ...integrity.degraded(),
      ].map((one) => ({
        ...one,
      })),
  };
  measureHealth(metrics.registry, () => readStatus(parts));
  measureKeeping(metrics.registry, {
    integrity: () => integrity.status(),
    retention: () => retention.status(),
  });
  measureCopy(metrics.registry, () => copies.status().copy);
  const host = {
    ...daemonServices(parts),
    ...peers.services,
    ...outbox.services,
    ...anchors.services,
    ...witnesses.services,
    ...watch.services,
    ...search.services,
    ...retention.services,
    ...evidenceServices({
      config,
      paths,
      engine,
      store,
      signer: () => ledgerSigner(paths, config),
    }),
  };
  const servers: ApiServer[] = [];
  for (const socket of SOCKETS) {
    const listen = { path: join(paths.run, `${socket}.sock`), ...access(config) };
    const { limits } = config;
    servers.push(
      await startApiServer({ socket, listen, engine, host, limits, metrics, log, ...peers.server }),
    );
  }
  const endRotation = await peers.rotate(servers);
  const endAnchors = await anchors.start();
  const endKeys = await rotateKeys(config, engine, log);
  const endEnvelopes = await rotateEnvelopes(config, engine, log);
  const endWatch = await watch.start();
  const stopCopies = await copies.start();
  const endRetention = await retention.start();
  const endIntegrity = await integrity.start();
  log.info({ site: config.site, profile: config.profile, run: paths.run }, 'ready');
  const signal = await Promise.race([untilSignal(), gone.promise]);
  await endAnchors();
  await endWatch();
  await endEnvelopes();
  await endKeys();
  await endRetention();
  await endIntegrity();
  await endRotation();
  await outbox.stop();
  await witnesses.stop();
  await siem.stop();
  await search.stop();
  await stopCopies(() => stop(servers, engine, signal, log));
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

/** Id of the update in force, as the ledger has it; null when there is none. */
async function activeUpdate(engine: EngineHandle): Promise<string | null> {
  const answer = await engine.call(internal('policy.get', null));
  return (JSON.parse(textOf(answer)) as { update_id?: string | null }).update_id ?? null;
}

function access(config: SiteConfig): { mode: number; gid?: number } {
  const { group, mode } = config.sockets;
  return group === null ? { mode } : { mode, gid: groupId(group) };
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
  });
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
