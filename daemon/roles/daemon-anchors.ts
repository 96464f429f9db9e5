import type { HostServices } from '../api/server.ts';
import type { CarriedAlong } from '../core/anchor-report.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { currentLog } from '../formats/log-keys.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { readLineage } from '../host/log-lineage.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { carryAnchors } from '../policy/anchor-medium.ts';
import { AnchorOutbox } from '../policy/anchor-outbox.ts';

/** What the daemon does about anchors. */
export interface DaemonAnchors {
  services: HostServices;
  /** Begins the schedule; returns what ends it. */
  start(): Promise<() => Promise<void>>;
}

/** Between two looks at what the sync process asks for. */
const LOOK_MS = 5_000;

/**
 * Exports tree heads by schedule and on demand, and keeps their files in the outbox: whatever an entry says was exported,
 * acknowledged or asked for, the files follow.
 */
export function openAnchors(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  log: Logger,
): DaemonAnchors {
  const { keep, schedule } = config.anchors;
  const outbox = new AnchorOutbox({ engine, inbox: paths.inbox, outbox: paths.outbox, keep });
  const failed = (error: unknown): void =>
    log.warn({ err: error }, 'anchors could not be put into the outbox');
  const follow = (): void => void outbox.refresh().catch(failed);
  const unsubscribe = engine.onEvents((events) => {
    if (events.some(({ type }) => type === 'anchor.exported' || type === 'outbox.acknowledged')) follow();
  });
  const look = async (): Promise<void> => {
    const unknown = await outbox.answer().catch((error: unknown) => {
      failed(error);
      return [];
    });
    for (const size of unknown)
      log.error(
        { size },
        'a witness holds a checkpoint that this ledger cannot continue from; run holdfast anchor verify',
      );
  };
  return {
    services: {
      'anchors.export': () => exportNow(engine, outbox),
      'anchors.carry': async ({ body, principal }) => {
        const { path, actor = principal } = body as { path: string; actor?: string | null };
        const carried = await carryTo(path, actor ?? null, { config, paths, engine });
        if (carried.contradiction !== null)
          log.error(
            { ...carried.contradiction },
            'a medium holds an anchor of this site that the ledger does not bear out',
          );
        return { status: 200, body: JSON.stringify(carried) };
      },
    },
    start: async () => {
      follow();
      const timer = setInterval(() => void look(), LOOK_MS).unref();
      const end =
        schedule === null
          ? null
          : await runBySchedule(schedule, '/anchors/schedule', () => exportByPlan(engine), log);
      return async () => {
        clearInterval(timer);
        unsubscribe();
        await end?.();
        await outbox.idle();
      };
    },
  };
}

/** The same for whoever has the engine: the daemon, or a command while no daemon is running. */
export function carryTo(
  path: string,
  who: string | null,
  { config, paths, engine }: { config: SiteConfig; paths: SitePaths; engine: EngineHandle },
): Promise<CarriedAlong> {
  const trust = () => {
    const { origin, keys } = currentLog(readLineage(paths.trust));
    return { origin, vkeys: keys };
  };
  return carryAnchors({ engine, site: config.site, path, who, trust });
}

async function exportNow(engine: EngineHandle, outbox: AnchorOutbox) {
  const answer = await engine.call(internal('anchors.export', JSON.stringify({ reason: 'demand' })));
  if (answer.status !== 200) return { status: answer.status, body: textOf(answer) };
  const exported = JSON.parse(textOf(answer)) as { old: number; size: number };
  await outbox.refresh();
  return { status: 200, body: JSON.stringify({ ...exported, file: outbox.fileOf(exported.size) }) };
}

async function exportByPlan(engine: EngineHandle): Promise<void> {
  const answer = await engine.call(internal('anchors.export', JSON.stringify({ reason: 'schedule' })));
  // `status` says why nothing can be recorded; the next round tries again.
  if (answer.status >= 500) throw new Error(`anchors.export answered ${answer.status}`);
}
