import { unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { backupAside } from '../backup/aside.ts';
import { adoptBackup, temporaryName } from '../backup/place.ts';
import { backupName, rotate } from '../backup/rotation.ts';
import type { Degraded } from '../engine/health/facts.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { BackupConfig } from '../host/config/backup.ts';
import type { SiteConfig } from '../host/config.ts';
import { errorCode } from '../host/durable-file.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { writeFailure } from '../host/write-failure.ts';

/** The backups that the daemon makes by itself. */
export interface DaemonBackup {
  /** Null at a site that has no schedule for them. */
  status(): JsonObject | null;
  degraded(): Degraded[];
  /** Begins the schedule; returns what ends it. */
  start(): Promise<() => Promise<void>>;
}

/** Scheduled backups; nothing at a site without a schedule for them. */
export function openBackups(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonBackup {
  const { backup } = config;
  if (backup === null) {
    return { status: () => null, degraded: () => [], start: async () => async () => {} };
  }
  let last: { at: string; size: number } | null = null;
  let failed: { at: string; why: string } | null = null;
  const started = Date.now();
  const stopping = new AbortController();
  const round = async (): Promise<void> => {
    const at = new Date().toISOString();
    try {
      const made = await makeBackup(config, backup, paths, engine, stopping.signal);
      last = { at, size: made.size };
      failed = null;
      log.info({ ...made }, 'a backup was made');
    } catch (error) {
      const code = errorCode(error);
      const isSystem = code !== null && /^E[A-Z]+$/.test(code);
      const why = isSystem ? writeFailure(error).why : error instanceof Error ? error.message : String(error);
      failed = { at, why };
      log.error({ err: error, dir: backup.dir }, 'no backup was made');
    }
  };
  return {
    status: () => ({ dir: backup.dir, schedule: backup.schedule, last, failed }),
    degraded: () => backupHealth(backup, last, failed, started),
    async start() {
      last = await recorded(engine);
      const end = await runBySchedule(backup.schedule, '/backup/schedule', round, log);
      return async () => {
        stopping.abort();
        await end();
      };
    },
  };
}

/** Write it under another name → put it on record → give it its name → remove the oldest ones. */
export async function makeBackup(
  { site, profile }: SiteConfig,
  { dir, to, keep, withKeys }: BackupConfig,
  paths: SitePaths,
  engine: EngineHandle,
  signal: AbortSignal,
): Promise<{ file: string; size: number; ledger: number; removed: string[] }> {
  const now = Date.now();
  const path = join(dir, backupName(site, now));
  const temporary = temporaryName(path);
  const source = { paths, site, profile, now: new Date(now).toISOString(), withKeys };
  const { digest, size, ledger } = await backupAside({ source, recipients: to, path: temporary }, signal);
  const record = {
    file: basename(path),
    digest,
    size,
    recipients: to,
    keys: withKeys,
    ledger,
    scheduled: true,
  };
  const answer = await engine.call(internal('backups.record', JSON.stringify(record)));
  if (answer.status !== 200) {
    unlinkSync(temporary);
    throw new Error(`the backup could not be put on record: ${textOf(answer)}`);
  }
  adoptBackup(temporary, path);
  return { file: path, size, ledger: ledger.size, removed: rotate(dir, site, keep, now) };
}

/** The newest backup on record, whoever made it. */
async function recorded(engine: EngineHandle): Promise<{ at: string; size: number } | null> {
  const status = JSON.parse(textOf(await engine.call(internal('status.get', null)))) as {
    backup?: { at: string; size: number } | null;
  };
  return status.backup ?? null;
}

function backupHealth(
  { dir, warnAfterMs }: BackupConfig,
  last: { at: string } | null,
  failed: { at: string; why: string } | null,
  started: number,
): Degraded[] {
  const since = last === null ? started : Date.parse(last.at);
  const late = Date.now() - since > warnAfterMs;
  if (!late && failed === null) return [];
  const age = last === null ? 'there is none' : `the newest is of ${last.at}`;
  return [
    {
      component: 'backup',
      cause:
        failed === null ? `no backup was made in time; ${age}` : `no backup was made (${failed.why}); ${age}`,
      since: failed?.at ?? new Date(since + warnAfterMs).toISOString(),
      effect: 'Decisions go on. Should the site be lost now, so is what came after the newest backup.',
      instruction: `Look at ${dir}: is its disk mounted, is there room, may the account of the daemon write there? Then make one by hand: holdfast backup FILE --to RECIPIENT`,
    },
  ];
}
