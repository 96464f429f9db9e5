import { join } from 'node:path';
import type { Degraded } from '../engine/health/facts.ts';
import { type EngineHandle, internal } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { startThread } from '../host/thread.ts';
import { archiveDir } from '../ledger/archive.ts';
import type { Finding } from '../ledger/finding.ts';
import type { IntegrityProgress } from '../ledger/integrity-progress.ts';
import type { FromIntegrity, IntegrityJob, ToIntegrity } from '../ledger/integrity-worker.ts';

/** It reads page by page; what it lets lie about would be the whole process's memory. */
const HEAP_MB = 128;

/** How the daemon re-verifies its own ledger while it runs. */
export interface DaemonIntegrity {
  status(): JsonObject;
  degraded(): Degraded[];
  /** Begins; returns what ends it. */
  start(): Promise<() => Promise<void>>;
}

/** Findings shown one by one. */
const SHOWN = 5;

/** A thread that goes over the ledger at a polite rate. What it finds becomes an incident, which halts the site. */
export function openIntegrity(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonIntegrity {
  const { schedule, entriesPerSecond } = config.integrity;
  const found: Finding[] = [];
  let count = 0;
  let progress: IntegrityProgress | null = null;
  let trouble: string | null = null;
  const take = (message: FromIntegrity): void => {
    if ('progress' in message) {
      progress = message.progress;
      return;
    }
    if ('trouble' in message) {
      ({ trouble } = message);
      if (trouble !== null) log.warn({ trouble }, 'the background check cannot go on for now');
      return;
    }
    count += message.findings.length;
    found.push(...message.findings.slice(0, SHOWN - found.length));
    log.error({ findings: message.findings }, 'the background check found the ledger damaged');
    const [first] = message.findings;
    if (first !== undefined)
      openIncident(engine, first, message.findings.length).catch((error: unknown) =>
        log.error({ err: error }, 'the damage could not be recorded as an incident'),
      );
  };
  return {
    status: () => summaryOf(schedule, progress, { count, found }),
    degraded: () => health({ count, found, trouble }),
    start: async () => {
      if (schedule === null) return () => Promise.resolve();
      const job: IntegrityJob = {
        ledger: paths.ledger,
        archive: archiveDir(paths.ledger),
        trust: paths.trust,
        progress: join(paths.state, 'integrity.json'),
        entriesPerSecond,
      };
      const worker = startThread(new URL('../ledger/integrity-worker.ts', import.meta.url), {
        workerData: job,
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 4 },
      });
      const say = (message: ToIntegrity): void => worker.postMessage(message);
      const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
      worker.on('message', take);
      worker.once('error', (error) => {
        trouble = error instanceof Error ? error.message : String(error);
        log.error({ err: error }, 'the background check ended');
      });
      const end = await runBySchedule(schedule, '/integrity/schedule', async () => say('pass'), log);
      return async () => {
        await end();
        say('stop');
        await gone;
      };
    },
  };
}

/** What is wrong is said with its place; what is to be read there is not. */
async function openIncident(engine: EngineHandle, finding: Finding, count: number): Promise<void> {
  const { what, where, detail, index = null } = finding;
  const more = count > 1 ? ` (and ${count - 1} more findings)` : '';
  const body = {
    cause: 'ledger_damaged',
    detail: `The background check of the ledger: ${where}: ${detail}${more}.`,
    evidence: { what, where, index },
  };
  await engine.call(internal('incidents.open', JSON.stringify(body)));
}

function summaryOf(
  schedule: string | null,
  progress: IntegrityProgress | null,
  { count, found }: { count: number; found: readonly Finding[] },
): JsonObject {
  return {
    schedule,
    checked: progress?.next ?? null,
    size: progress?.size ?? null,
    started_at: progress?.started_at ?? null,
    done: progress?.done ?? false,
    last: (progress?.last ?? null) as JsonObject | null,
    findings: count,
    first: found.map(({ what, where, detail, index = null }) => ({ what, where, detail, index })),
  };
}

function health(state: { count: number; found: readonly Finding[]; trouble: string | null }): Degraded[] {
  const { count, found, trouble } = state;
  if (count === 0 && trouble === null) return [];
  const [first] = found;
  const cause =
    first === undefined
      ? `the background check of the ledger stands still: ${trouble}`
      : `the ledger is damaged at ${first.where}: ${first.detail}${count > 1 ? ` (${count} findings)` : ''}`;
  return [
    {
      component: 'integrity',
      cause,
      since: null,
      effect:
        first === undefined
          ? 'Damage of old entries is noticed later. Decisions do not depend on it.'
          : 'What was recorded there cannot be relied on. An incident halts the site until somebody signs that it may go on.',
      instruction:
        first === undefined
          ? 'It tries again each minute. If it does not get over it, restart the daemon; run holdfast ledger verify.'
          : 'Keep a copy of the state directory, run holdfast ledger verify, and restore a backup.',
    },
  ];
}
