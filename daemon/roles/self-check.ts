import type { Logger } from '../host/log.ts';
import type { ServiceManager } from '../host/notify.ts';

/** What a process found out about itself. */
export interface Fitness {
  /** Null when it does its work; else what is wrong that starting it anew may cure. */
  trouble: string | null;
  /** One line for people, shown by the service manager. */
  status: string;
}

/** Without a watchdog, the line for people is made anew this often. */
const EVERY_MS = 30_000;

/**
 * Tells the service manager that this process is up, and from then on, twice in each watchdog period, that it still does its
 * work: each sign of life comes after a check that ended well and in time. Without signs of life the manager starts the process
 * anew. Returns what ends it.
 */
export async function superviseBy(
  manager: ServiceManager,
  check: () => Promise<Fitness>,
  log: Logger,
): Promise<() => void> {
  const every = manager.watchdogMs === null ? EVERY_MS : manager.watchdogMs / 2;
  let started = false;
  const look = async (): Promise<void> => {
    const { trouble, status } = await inTime(check, every / 2);
    if (trouble !== null) {
      manager.status(status);
      log.error({ trouble }, 'self-check failed; no sign of life was given');
      return;
    }
    if (started) manager.status(status);
    else started = await manager.ready(status);
    manager.alive();
  };
  await look();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void look().finally(() => {
      busy = false;
    });
  }, every).unref();
  return () => {
    clearInterval(timer);
    manager.stopping();
  };
}

/** The check's answer; a check that fails or does not end is trouble, too. */
async function inTime(check: () => Promise<Fitness>, ms: number): Promise<Fitness> {
  const late = Promise.withResolvers<Fitness>();
  const timer = setTimeout(() => {
    late.resolve(unfit(`the self-check was not over within ${Math.round(ms)} ms`));
  }, ms);
  try {
    return await Promise.race([check(), late.promise]);
  } catch (error) {
    return unfit(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
  }
}

export function unfit(trouble: string): Fitness {
  return { trouble, status: `not well: ${trouble}` };
}
