import type { HostServices } from '../api/server.ts';
import type { Degraded } from '../engine/health/facts.ts';
import { type EngineHandle, internal } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import { systemClock } from '../host/clock.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { archiveDir } from '../ledger/archive.ts';
import {
  carryArchive,
  type RetentionStanding,
  type RoundReport,
  retentionStanding,
  runRound,
} from '../policy/retention-round.ts';
import { budgetHealth, roomSummary, sizesOf } from './retention-room.ts';

/** What the daemon does about the age of what was recorded. */
export interface DaemonRetention {
  services: HostServices;
  status(): JsonObject | null;
  degraded(): Degraded[];
  /** Begins the schedule; returns what ends it. */
  start(): Promise<() => Promise<void>>;
}

const LOOK_MS = 60_000;

/** Moves what the policy lets go, by schedule and on demand, one round at a time. */
export function openRetention(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonRetention {
  const archive = archiveDir(paths.ledger);
  let running: Promise<unknown> = Promise.resolve();
  let standing: RetentionStanding | null = null;
  let last: { at: string; report: RoundReport } | null = null;
  const look = async (): Promise<void> => {
    standing = await retentionStanding(engine);
  };
  const round = (dryRun: boolean): Promise<RoundReport> => {
    const next = running.then(async () => {
      const report = await runRound({ paths, archive, engine, dryRun });
      if (!dryRun) last = { at: new Date(systemClock.now()).toISOString(), report };
      if (report.archived.length > 0)
        log.info({ segments: report.archived.length, shredded: report.shredded }, 'archived closed segments');
      await look();
      return report;
    });
    running = next.catch(() => {});
    return next;
  };
  return {
    services: {
      'retention.prune': async ({ body }) => {
        const { dry_run = false } = body as { dry_run?: boolean };
        return { status: 200, body: JSON.stringify(await round(dry_run)) };
      },
      'retention.carry': async ({ body, peer }) => {
        const answer = await carryArchive(
          { ...internal('retention.carry', JSON.stringify(body)), peer },
          { paths, archive, engine },
        );
        await look();
        return answer;
      },
    },
    status: () => (standing === null ? null : roomSummary(standing, sizesOf(paths), config, last)),
    degraded: () => (standing === null ? [] : budgetHealth(standing, sizesOf(paths))),
    start: async () => {
      const failed = (error: unknown): void => log.warn({ err: error }, 'retention could not be looked at');
      void look().catch(failed);
      const timer = setInterval(() => void look().catch(failed), LOOK_MS).unref();
      const { schedule } = config.retention;
      const end =
        schedule === null
          ? null
          : await runBySchedule(schedule, '/retention/schedule', async () => void (await round(false)), log);
      return async () => {
        clearInterval(timer);
        await end?.();
        await running;
      };
    },
  };
}
