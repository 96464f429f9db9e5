import { isoTime } from '../../core/create.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';

const SYSTEM = { id: null, role: 'system' } as const;

/** `system.stopped`: the last entry of an orderly shutdown. */
export function systemStopped(batch: Batch, call: EngineCall): AfterCommit {
  const { reason } = JSON.parse(call.body ?? '{}') as { reason?: string };
  batch.record('system', 'system.stopped', SYSTEM, { reason: reason ?? null });
  return () => reply(200, {});
}

/** `system.retired`: the site's keys are about to be destroyed. Nobody can sign in its name afterwards, so it is the last word but one. */
export function systemRetired(batch: Batch, call: EngineCall): AfterCommit {
  const { actor, reason } = JSON.parse(call.body ?? '{}') as { actor?: string | null; reason?: string };
  const { index } = batch.record(
    'system',
    'system.retired',
    { id: actor ?? null, role: 'operator' },
    { reason: reason ?? null },
  );
  return () => reply(200, { record_id: index });
}

/** First entry of every run: which version, and whether the run before ended in order. */
export function systemStarted(batch: Batch, data: JsonObject): void {
  batch.record('system', 'system.started', SYSTEM, data);
}

/** First entry after a time in which the ledger could not be written, and its proof that it can be again. */
export function systemResumed(batch: Batch, trouble: { since: number; cause: string } | null): void {
  const outage = trouble === null ? null : { cause: trouble.cause, since: isoTime(trouble.since) };
  batch.record('system', 'system.heartbeat', SYSTEM, { reason: 'ledger_writable_again', outage });
}

/** One of the entries by which a gap in the record can be seen: due every so many milliseconds. */
export function systemAlive(batch: Batch, every_ms: number): void {
  batch.record('system', 'system.heartbeat', SYSTEM, { reason: 'scheduled', every_ms });
}

/** Records each step that a policy in force has aged by, once: `policy.degraded` (also when a corrected clock took one back). */
export function recordAge(batch: Batch): void {
  const { policies } = batch.state;
  for (const { environment, step, previous, news_at } of policies.age.unrecorded()) {
    const pinned = policies.applied?.environments[environment];
    batch.record('policy', 'policy.degraded', SYSTEM, {
      environment,
      policy:
        pinned === undefined ? null : { digest: pinned.digest, version: `${pinned.name}@${pinned.version}` },
      news_at: isoTime(news_at),
      step,
      previous,
    });
    policies.age.recorded(environment);
  }
}
