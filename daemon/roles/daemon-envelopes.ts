import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';

/**
 * Rotates the envelope key on the site's schedule, where it has one. Returns what ends that. Throws BoundaryError
 * `config.wrong_value`.
 */
export async function rotateEnvelopes(
  { secrets }: SiteConfig,
  engine: EngineHandle,
  log: Logger,
): Promise<() => Promise<void>> {
  if (secrets.rotate_envelope === null) return () => Promise.resolve();
  const round = async (): Promise<void> => {
    const reason = 'by schedule';
    const answer = await engine.call(internal('envelopes.rotate', JSON.stringify({ reason })));
    if (answer.status === 200) log.info({}, 'the envelope key is being rotated');
    else
      log.warn({ problem: textOf(answer) }, 'the envelope key was not rotated; the next round tries again');
  };
  return runBySchedule(secrets.rotate_envelope, '/secrets/rotate_envelope', round, log);
}
