import { type Logger as CronLogger, createTask, validateDetailed } from 'node-cron';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { randomBytes } from '../daemon/host/random.ts';

export interface ScheduleOptions {
  /** Five cron fields, in UTC. */
  schedule: string;
  /** Longest random wait before a round, in ms. */
  jitterMs: number;
  /** One round; false when it should be tried again before its time. Never rejects. */
  round: (signal: AbortSignal) => Promise<boolean>;
  log: CronLogger;
  /** From 0 up to, not including, 1. */
  random?: () => number;
  backoff?: Backoff;
}

export interface Backoff {
  baseMs: number;
  capMs: number;
}

const BACKOFF: Backoff = { baseMs: 30_000, capMs: 3_600_000 };

/** Throws BoundaryError `config.wrong_value` when the fields make no schedule. */
export function checkSchedule(schedule: string): void {
  const { valid, errors } = validateDetailed(schedule);
  if (valid) return;
  throw new BoundaryError(
    'config.wrong_value',
    `/sync/schedule is not a schedule (${errors.map(({ field }) => field).join(', ')}); write five cron fields, such as "17 * * * *". Nothing was started.`,
    { at: '/sync/schedule' },
  );
}

/**
 * How long to wait after so many failures in a row, in ms: doubling up to a cap, the upper half of it random, so that
 * sites that failed together do not come back together.
 */
export function backoffMs(failures: number, { baseMs, capMs }: Backoff, random: number): number {
  const full = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 40));
  return Math.round(full / 2 + (full / 2) * random);
}

/**
 * Runs rounds on a schedule until `signal` says stop, one at a time: the first soon after the start, then by cron plus
 * jitter; after a failure by back-off alone, until one succeeds. Resolves when the last round has ended.
 */
export async function runScheduled(options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  checkSchedule(options.schedule);
  const { schedule, jitterMs, round, log, random = systemRandom, backoff = BACKOFF } = options;
  const bell = new Bell(signal);
  const task = createTask(schedule, () => bell.ring(), {
    timezone: 'UTC',
    logger: log,
    suppressMissedWarning: true,
  });
  await task.start();
  try {
    let failures = 0;
    while (!signal.aborted) {
      await bell.wait(failures > 0 ? backoffMs(failures, backoff, random()) : random() * jitterMs);
      if (signal.aborted) break;
      failures = (await round(signal)) ? 0 : failures + 1;
      if (failures === 0) await bell.rung();
    }
  } finally {
    await task.destroy();
  }
}

/** What the schedule rings; both kinds of waiting end early when it is time to stop. */
class Bell {
  readonly #signal: AbortSignal;
  #ring: (() => void) | null = null;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** A ring while nobody waits for it (a round is under way, or backing off) is no second round. */
  ring(): void {
    this.#ring?.();
  }

  rung(): Promise<void> {
    return this.#until((done) => {
      this.#ring = done;
      return () => {
        this.#ring = null;
      };
    });
  }

  wait(ms: number): Promise<void> {
    return this.#until((done) => {
      const timer = setTimeout(done, ms);
      return () => clearTimeout(timer);
    });
  }

  #until(begin: (done: () => void) => () => void): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        end();
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      const end = begin(done);
      this.#signal.addEventListener('abort', done);
    });
  }
}

function systemRandom(): number {
  return new DataView(randomBytes(4).buffer).getUint32(0) / 2 ** 32;
}
