import type { Degraded } from '../engine/health/facts.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import { openBackups } from './daemon-backup.ts';
import { openCopy } from './daemon-copy.ts';

/** What there is of the site beside itself: the second copy of its ledger, and backups. */
export interface DaemonCopies {
  status(): { copy: JsonObject | null; backup: JsonObject | null };
  degraded(): Degraded[];
  /** Starts both; returns what stops the engine between them: no backup after its end, and its last word in the copy. */
  start(): Promise<(stopEngine: () => Promise<void>) => Promise<void>>;
}

/** The second copy and the scheduled backups that the site's settings ask for. */
export function openCopies(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonCopies {
  const copy = openCopy(config, paths, engine, log);
  const backups = openBackups(config, paths, engine, log);
  return {
    status: () => ({ copy: copy.status(), backup: backups.status() }),
    degraded: () => [...copy.degraded(), ...backups.degraded()],
    async start() {
      const endBackups = await backups.start();
      const endCopy = await copy.start();
      return async (stopEngine) => {
        await endBackups();
        await stopEngine();
        await endCopy();
      };
    },
  };
}
