import type { Registry } from '@prometheus-io/client';
import { measureCopy } from '../api/copy-metrics.ts';
import { measureKeeping } from '../api/retention-metrics.ts';
import type { ApiServer, HostServices } from '../api/server.ts';
import { ledgerSigner } from '../engine/compose.ts';
import type { Degraded } from '../engine/health/facts.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import type { ReceiptBook } from '../policy/receipts.ts';
import type { PolicyStore } from '../policy/store.ts';
import { openAnchors } from './daemon-anchors.ts';
import { openCopies } from './daemon-copies.ts';
import { rotateEnvelopes } from './daemon-envelopes.ts';
import { evidenceServices } from './daemon-evidence.ts';
import { openIntegrity } from './daemon-integrity.ts';
import { rotateKeys } from './daemon-keys.ts';
import { openOutbox } from './daemon-outbox.ts';
import { type DaemonPeers, openPeers } from './daemon-peers.ts';
import { openRetention } from './daemon-retention.ts';
import { openSearch } from './daemon-search.ts';
import { openSiem } from './daemon-siem.ts';
import { openWatch } from './daemon-watch.ts';
import { openWitnesses } from './daemon-witnesses.ts';

/** What a companion works with. */
export interface Surroundings {
  config: SiteConfig;
  paths: SitePaths;
  engine: EngineHandle;
  store: PolicyStore;
  receipts: ReceiptBook;
  log: Logger;
}

/** Ends the schedules, then the daemon itself, and last what has to see the engine's last word. */
export type End = (stopDaemon: () => Promise<void>) => Promise<void>;

/** Everything that lives beside the engine: what leaves the site, what is copied, watched, rotated and looked after. */
export interface Companions {
  /** For every socket's server. */
  server: DaemonPeers['server'];
  services: HostServices;
  status(): JsonObject;
  degraded(): Degraded[];
  measure(registry: Registry): void;
  /** Begins the schedules. Throws BoundaryError `config.wrong_value` for one that is none. */
  start(servers: readonly ApiServer[]): Promise<End>;
}

/** Opens all of them; nothing runs by itself before `start`. */
export async function openCompanions(parts: Surroundings): Promise<Companions> {
  const { config, paths, engine, receipts, log } = parts;
  const origin = ledgerSigner(paths, config).name;
  const all = {
    outbox: openOutbox(config, paths, engine, receipts, log),
    anchors: openAnchors(config, paths, engine, log),
    witnesses: openWitnesses(paths, engine, log),
    peers: await openPeers(config, paths, engine, log),
    watch: openWatch(config, paths, engine, log),
    copies: openCopies(config, paths, engine, log),
    siem: openSiem(config, paths, origin, log),
    search: openSearch(config, paths, engine, origin, log),
    retention: openRetention(config, paths, engine, log),
    integrity: openIntegrity(config, paths, engine, log),
  };
  return {
    server: all.peers.server,
    services: servicesOf(all, parts),
    status: () => statusOf(all),
    degraded: () => degradedOf(all),
    measure: (registry) => measure(all, registry),
    start: (servers) => start(all, parts, servers),
  };
}

interface All {
  outbox: ReturnType<typeof openOutbox>;
  anchors: ReturnType<typeof openAnchors>;
  witnesses: ReturnType<typeof openWitnesses>;
  peers: DaemonPeers;
  watch: ReturnType<typeof openWatch>;
  copies: ReturnType<typeof openCopies>;
  siem: ReturnType<typeof openSiem>;
  search: ReturnType<typeof openSearch>;
  retention: ReturnType<typeof openRetention>;
  integrity: ReturnType<typeof openIntegrity>;
}

function servicesOf(
  { peers, outbox, anchors, witnesses, watch, search, retention }: All,
  { config, paths, engine, store }: Surroundings,
): HostServices {
  return {
    ...peers.services,
    ...outbox.services,
    ...anchors.services,
    ...witnesses.services,
    ...watch.services,
    ...search.services,
    ...retention.services,
    ...evidenceServices({ config, paths, engine, store, signer: () => ledgerSigner(paths, config) }),
  };
}

function statusOf({ peers, outbox, watch, copies, siem, search, retention, integrity }: All): JsonObject {
  return {
    peers: peers.status(),
    outbox: outbox.status(),
    canary: watch.status(),
    ...copies.status(),
    siem: siem.status(),
    search: search.status(),
    retention: retention.status(),
    integrity: integrity.status(),
  };
}

function degradedOf({ watch, copies, siem, search, retention, integrity }: All): Degraded[] {
  return [watch, copies, siem, search, retention, integrity].flatMap((each) => each.degraded());
}

function measure({ copies, retention, integrity }: All, registry: Registry): void {
  measureKeeping(registry, { integrity: () => integrity.status(), retention: () => retention.status() });
  measureCopy(registry, () => copies.status().copy);
}

async function start(
  all: All,
  { config, engine, log }: Surroundings,
  servers: readonly ApiServer[],
): Promise<End> {
  const ends = [
    await all.peers.rotate(servers),
    await all.anchors.start(),
    await rotateKeys(config, engine, log),
    await rotateEnvelopes(config, engine, log),
    await all.watch.start(),
    await all.retention.start(),
    await all.integrity.start(),
  ];
  const stopCopies = await all.copies.start();
  return async (stopDaemon) => {
    for (const end of ends) await end();
    await all.outbox.stop();
    await all.witnesses.stop();
    await all.siem.stop();
    await all.search.stop();
    await stopCopies(stopDaemon);
  };
}
