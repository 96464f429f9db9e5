import { type Logger as CronLogger, createTask, validateDetailed } from 'node-cron';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Logger } from './log.ts';

/**
 * Runs a task by cron (five fields, UTC) until the returned function is called. A round that is still under way when the
 * next one is due takes its place. Throws BoundaryError `config.wrong_value` naming `at` when the fields make no schedule.
 */
export async function runBySchedule(
  schedule: string,
  at: string,
  task: () => Promise<void>,
  log: Logger,
): Promise<() => Promise<void>> {
  const { valid, errors } = validateDetailed(schedule);
  if (!valid) {
    const fields = errors.map(({ field }) => field).join(', ');
    throw new BoundaryError(
      'config.wrong_value',
      `${at} is not a schedule (${fields}); write five cron fields, such as "23 * * * *". Nothing was started.`,
      { at },
    );
  }
  let running: Promise<void> | null = null;
  const round = (): void => {
    running ??= task()
      .catch((error: unknown) => log.error({ err: error, schedule: at }, 'a scheduled task failed'))
      .finally(() => {
        running = null;
      });
  };
  const words = (text: unknown): void => log.debug(String(text));
  const quiet: CronLogger = {
    info: words,
    warn: words,
    debug: () => {},
    error: (text: unknown) => log.error(String(text)),
  };
  const cron = createTask(schedule, round, { timezone: 'UTC', logger: quiet, suppressMissedWarning: true });
  await cron.start();
  return async () => {
    await cron.destroy();
    await running;
  };
}
