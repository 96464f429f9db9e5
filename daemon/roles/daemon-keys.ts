import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';

/**
 * Looks by schedule whether the ledger key is due, and rotates it if it is. Returns what ends the schedule. Throws
 * BoundaryError `config.wrong_value`.
 */
export async function rotateKeys(
  { keys: { schedule } }: SiteConfig,
  engine: EngineHandle,
  log: Logger,
): Promise<() => Promise<void>> {
  if (schedule === null) return () => Promise.resolve();
  return runBySchedule(schedule, '/keys/schedule', () => rotateIfDue(engine, log), log);
}

/** One look. A refusal (a full disk, say) is logged; the next look tries again, and `status` says that the key is due. */
export async function rotateIfDue(engine: EngineHandle, log: Logger): Promise<void> {
  const known = JSON.parse(textOf(await engine.call(internal('ledger.keys', null)))) as { due?: boolean };
  if (known.due !== true) return;
  const body = JSON.stringify({ reason: 'older than keys.ledger_max_age' });
  const answer = await engine.call(internal('ledger.rotate_key', body));
  const { old, new: next, size, detail } = JSON.parse(textOf(answer)) as Record<string, unknown>;
  if (answer.status === 200) log.info({ old, new: next, size }, 'the ledger key was rotated');
  else log.warn({ detail }, 'the ledger key is due, and could not be rotated');
}
