import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ActionBody } from '../api/client.ts';
import { ApiProblem, ApiUnreachable, clientTlsFor } from '../api/client.ts';
import { Metrics } from '../api/metrics.ts';
import { problem, problemReply } from '../api/problem.ts';
import { type HostServices, startApiServer } from '../api/server.ts';
import type { Bundle } from '../core/bundle.ts';
import { ActionDesk } from '../gateway/actions.ts';
import { Alarm } from '../gateway/alarm.ts';
import { BundleCache } from '../gateway/bundle-cache.ts';
import { credentialSource } from '../gateway/credentials.ts';
import type { Gatekeeper } from '../gateway/enforce.ts';
import { type EnginePort, engineOverSockets } from '../gateway/engine-port.ts';
import { IntegrityWatch, readConfiguration } from '../gateway/integrity.ts';
import { Journal } from '../gateway/journal.ts';
import { OutcomeReporter } from '../gateway/outcomes.ts';
import { Programs } from '../gateway/programs.ts';
import { recover } from '../gateway/recover.ts';
import { runTool } from '../gateway/run-tool.ts';
import { SeenRoots } from '../gateway/seen-roots.ts';
import { loadTrust, openKnownKeys } from '../gateway/trust.ts';
import { takeSockets } from '../host/activation.ts';
import { systemClock } from '../host/clock.ts';
import { loadConfig, type SiteConfig } from '../host/config.ts';
import { groupId } from '../host/group.ts';
import { createLogger, type Logger } from '../host/log.ts';
import { openServiceManager } from '../host/notify.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import { gatewayIdentity, openGatewayPeers, rotateGateway } from './gateway-peers.ts';
import { type Fitness, superviseBy } from './self-check.ts';
import { stopSignal } from './stop-signal.ts';
import { assertTlsSetUp } from './tls-set-up.ts';

/** Actions under way at once: each may hold a process, its pipes and its kept output. */
const MAX_ACTIONS = 64;
/** How long an orderly stop lets running tools be, in ms; then they are ended, and that is reported. */
const TOOL_GRACE_MS = 30_000;
/** Between two looks at configuration and tools. */
const INTEGRITY_MS = 60_000;
/** How long it then waits for answers to be read. */
const ANSWER_GRACE_MS = 5_000;

/**
 * The gateway: its socket, its journal, the tools. Resolves after an orderly stop (SIGTERM, SIGINT); rejects with a
 * BoundaryError when the site, its trust files or the journal cannot be believed, or another gateway runs already.
 * The engine may come later: until it answers, nothing runs.
 */
export async function runGateway({ dir }: { dir: string }): Promise<void> {
  const config = loadConfig(dir);
  const paths = sitePaths(dir);
  const log = createLogger('gateway', config.log.level);
  const handedOver = takeSockets(['gateway']).get('gateway');
  const manager = await openServiceManager();
  if (config.peers.tls) assertTlsSetUp(paths, 'gateway');
  const tls = gatewayIdentity(config, paths);
  const own = tls === null ? null : clientTlsFor(config.site, 'daemon', tls);
  const engine = engineOverSockets(paths, config.gateway.audience, own);
  const ending = new AbortController();
  let desk: Desk | null = null;
  const stopped = stopSignal();
  // Binding the socket comes first: it keeps a second gateway from taking up the journal of a running one.
  const server = await startApiServer({
    socket: 'gateway',
    listen:
      handedOver === undefined
        ? { path: join(paths.run, 'gateway.sock'), ...access(config) }
        : { fd: handedOver },
    engine: null,
    host: services(() => desk, engine),
    limits: config.limits,
    metrics: new Metrics(),
    log,
    ...(await openGatewayPeers(config, engine, tls, log)),
  });
  let endRotation = (): Promise<void> => Promise.resolve();
  try {
    desk = await openDesk({ config, paths, engine, log, ending: ending.signal });
    endRotation = await rotateGateway(config, { paths, engine, server, log });
    const release = await superviseBy(manager, () => fitness(desk, engine), log);
    log.info({ site: config.site, profile: config.profile, audience: config.gateway.audience }, 'ready');
    log.info({ signal: await stopped }, 'stopping');
    release();
    await desk.close(ending);
  } finally {
    await endRotation();
    await server.stop(ANSWER_GRACE_MS);
    engine.close();
  }
  log.info({}, 'stopped');
}

interface Desk {
  actions: ActionDesk;
  status(): { running: number; unreported: number; unheard: number; recovered: boolean };
  close(ending: AbortController): Promise<void>;
}

async function openDesk(parts: {
  config: SiteConfig;
  paths: SitePaths;
  engine: EnginePort;
  log: Logger;
  ending: AbortSignal;
}): Promise<Desk> {
  const { config, paths, engine, log, ending } = parts;
  const keys = openKnownKeys(paths);
  // Before the rest of trust is read: what is compared later is what was believed now.
  const started = readConfiguration(paths, keys);
  const trust = loadTrust(paths, config, keys);
  const journal = await Journal.open(join(paths.gateway, 'journal'));
  const clock = systemClock;
  const reporter = new OutcomeReporter({ engine, journal, clock, log });
  const fetch: EnginePort['policyUpdate'] = (digest, environment) => engine.policyUpdate(digest, environment);
  const roots = SeenRoots.open(join(paths.gateway, 'roots.json'), trust.root);
  const bundles = new BundleCache({ fetch, trust, roots, now: clock.now });
  const run: Gatekeeper['run'] = (call) => runTool(call, config.gateway.path, ending);
  const programs = new Programs();
  const alarm = new Alarm(engine, log);
  const credentials = credentialSource([process.env.CREDENTIALS_DIRECTORY, config.secrets.credentials]);
  const gate: Gatekeeper = {
    trust,
    engine,
    bundles,
    journal,
    reporter,
    clock,
    log,
    programs,
    credentials,
    alarm,
    run,
  };
  const watch = new IntegrityWatch({
    started,
    read: () => readConfiguration(paths, keys),
    programs,
    inForce: bundlesInForce(engine, bundles),
    alarm,
    log,
  });
  watch.start(INTEGRITY_MS);
  const actions = new ActionDesk(gate, MAX_ACTIONS);
  let recovered = false;
  const recovery = recover(gate, ending).then((found) => {
    recovered = !ending.aborted;
    log.info({ ...found }, 'recovered');
  });
  // A recovery that fails by a bug of ours must not look like a clean start.
  recovery.catch((error: unknown) => log.fatal({ err: error }, 'recovery failed'));
  return {
    actions,
    status: () => ({
      running: actions.running,
      unreported: reporter.backlog,
      unheard: alarm.backlog,
      recovered,
    }),
    close: async (stop) => {
      await Promise.race([actions.close(), pause(TOOL_GRACE_MS, undefined, { ref: false })]);
      stop.abort();
      await Promise.allSettled([actions.close(), recovery, watch.stop()]);
      reporter.stop();
      await journal.close();
    },
  };
}

/** What is in force as the engine says and this gateway verifies; while the engine is silent, what it said last. */
function bundlesInForce(engine: EnginePort, bundles: BundleCache): () => Promise<readonly Bundle[]> {
  let known: readonly Bundle[] = [];
  return async () => {
    try {
      known = await bundles.allOf(await engine.newestUpdate());
    } catch (error) {
      if (!(error instanceof ApiUnreachable || error instanceof ApiProblem)) throw error;
    }
    return known;
  };
}

/** What `gateway.sock` offers beside the server's own methods. */
function services(desk: () => Desk | null, engine: EnginePort): HostServices {
  return {
    'actions.execute': async ({ body, key }) => {
      const open = desk();
      if (open !== null) return open.actions.answer(body as unknown as ActionBody, key);
      return problemReply(
        problem('not_ready', 'the gateway is still starting; nothing was asked and no tool was started'),
      );
    },
    'status.get': async () => {
      const status = {
        role: 'gateway',
        pid: process.pid,
        ...desk()?.status(),
        engine: await readiness(engine),
      };
      return { status: 200, body: JSON.stringify(status) };
    },
    'ready.get': async () => {
      const { ready, reason } = await readiness(engine);
      if (desk() !== null && ready) return { status: 200, body: '{"ready":true}' };
      return problemReply(problem('not_ready', reason ?? 'the gateway is still starting'));
    },
  };
}

async function readiness(engine: EnginePort): Promise<{ ready: boolean; reason: string | null }> {
  try {
    return await engine.ready();
  } catch (error) {
    return { ready: false, reason: error instanceof Error ? error.message : 'the engine does not answer' };
  }
}

/** For the service manager. A silent engine is shown, and is no reason to start the gateway anew and cut its tools short. */
async function fitness(desk: Desk | null, engine: EnginePort): Promise<Fitness> {
  const { ready, reason } = await readiness(engine);
  const { running, unreported } = desk?.status() ?? { running: 0, unreported: 0 };
  const said = ready ? 'the engine answers' : `nothing runs: ${reason}`;
  return { trouble: null, status: `${running} tools run; ${unreported} outcomes to report; ${said}` };
}

function access(config: SiteConfig): { mode: number; gid?: number } {
  const { group, mode } = config.sockets;
  return group === null ? { mode } : { mode, gid: groupId(group) };
}
