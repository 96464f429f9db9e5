import { type Refusal, refuse } from '../../core/refusal.ts';
import { ANYBODY } from '../../core/watched.ts';
import { recordLimit } from '../anomalies.ts';
import type { Batch } from '../context.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';

/**
 * Whether an actor asks more often than policy lets it; everybody whom the policy does not know shares one measure. A
 * refusal is not recorded, or a flood would fill the ledger; that there was one is, once an hour.
 */
export function checkRate(batch: Batch, policy: LoadedPolicy | null, actor: string | null): Refusal | null {
  const per_second = policy?.compiled.bundle.limits?.requests_per_second;
  if (policy === null || per_second === undefined) return null;
  const known = actor !== null && policy.roster.principal(actor) !== null ? actor : null;
  if (batch.state.limits.admits(known ?? ANYBODY, per_second, batch.monotonic)) return null;
  recordLimit(batch, 'limits.requests_per_second', known, { requests_per_second: per_second });
  return refuse(
    'limits.too_many_requests',
    `${known ?? 'Actors that the policy does not know'} may ask ${per_second} times a second. Nothing was decided or recorded; ask again later, under the same Idempotency-Key.`,
  );
}

/** Whether an actor has as many decisions waiting as policy lets it, so that one more cannot wait. */
export function checkPending(
  batch: Batch,
  policy: LoadedPolicy | null,
  actor: string | null,
): Refusal | null {
  const most = policy?.compiled.bundle.limits?.pending_per_actor;
  if (most === undefined || batch.state.limits.pending(actor ?? ANYBODY) < most) return null;
  recordLimit(batch, 'limits.pending_per_actor', actor, { pending_per_actor: most });
  return refuse(
    'limits.too_many_pending',
    `${most} decisions of ${actor ?? 'this actor'} wait already, which is as many as the policy lets wait. Nothing was decided or recorded; have some approved, rejected or cancelled, then ask again.`,
  );
}
