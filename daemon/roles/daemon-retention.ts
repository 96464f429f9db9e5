import { problem, problemReply } from '../api/problem.ts';
import type { HostServices } from '../api/server.ts';
import type { Degraded } from '../engine/health/facts.ts';
import { type EngineHandle, internal } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
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
import { budgetHealth, roomSummary, roundHealth, sizesOf } from './retention-room.ts';

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
  const rounds = new Rounds((dryRun) => runRound({ paths, archive, engine, dryRun }), log);
  let standing: RetentionStanding | null = null;
  const look = async (): Promise<void> => {
    standing = await retentionStanding(engine);
  };
  return {
    services: {
      'retention.prune': async ({ body }) => {
        const { dry_run = false } = body as { dry_run?: boolean };
        try {
          return { status: 200, body: JSON.stringify(await rounds.next(dry_run)) };
        } catch (error) {
          if (!(error instanceof BoundaryError)) throw error;
          return problemReply(problem('unavailable', error.message));
        } finally {
          await look();
        }
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
    status: () => (standing === null ? null : roomSummary(standing, sizesOf(paths), config, rounds.last)),
    degraded: () => [
      ...roundHealth(rounds.stopped),
      ...(standing === null ? [] : budgetHealth(standing, sizesOf(paths))),
    ],
    start: async () => {
      const failed = (error: unknown): void => log.warn({ err: error }, 'retention could not be looked at');
      void look().catch(failed);
      const timer = setInterval(() => void look().catch(failed), LOOK_MS).unref();
      const { schedule } = config.retention;
      const end =
        schedule === null
          ? null
          : await runBySchedule(
              schedule,
              '/retention/schedule',
              async () => void (await rounds.next(false)),
              log,
            );
      return async () => {
        clearInterval(timer);
        await end?.();
        await rounds.idle();
      };
    },
  };
}

/** One round at a time, and how the last ones went. */
class Rounds {
  /** The newest one that moved what it could. */
  last: { at: string; report: RoundReport } | null = null;
  /** Set while the newest one could not do its work. */
  stopped: { at: string; why: string } | null = null;
  readonly #run: (dryRun: boolean) => Promise<RoundReport>;
  readonly #log: Logger;
  #running: Promise<unknown> = Promise.resolve();

  constructor(run: (dryRun: boolean) => Promise<RoundReport>, log: Logger) {
    this.#run = run;
    this.#log = log;
  }

  /** Runs when those before it are over. */
  next(dryRun: boolean): Promise<RoundReport> {
    const round = this.#running.then(() => this.#one(dryRun));
    this.#running = round.catch(() => {});
    return round;
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  async #one(dryRun: boolean): Promise<RoundReport> {
    const at = new Date(systemClock.now()).toISOString();
    try {
      const report = await this.#run(dryRun);
      this.stopped = null;
      if (!dryRun) this.last = { at, report };
      const { archived, shredded } = report;
      if (archived.length + shredded > 0)
        this.#log.info({ segments: archived.length, shredded }, 'archived closed segments');
      return report;
    } catch (error) {
      this.stopped = { at, why: error instanceof Error ? error.message : String(error) };
      throw error;
    }
  }
}
