import { isoTime } from '../../core/create.ts';
import { refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { EntryActor } from '../../formats/entry.ts';
import type { Batch } from '../context.ts';
import { proofOf } from '../context.ts';
import { KEY_STREAM } from '../key-stream.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { type NamedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };

/**
 * `envelopes.rotate`: a new envelope key. Key file on disk → `key.rotated` (begun) → new values get it at once → data keys
 * of old values are wrapped anew between batches (engine/envelope-keeper.ts) → old key destroyed → `key.rotated` (finished).
 * A crash leaves a key file that no entry names, which the next attempt replaces, or a rotation that goes on.
 */
export function rotateEnvelope(batch: Batch, call: EngineCall): AfterCommit {
  const { reason, actor } = JSON.parse(call.body ?? '{}') as { reason: string; actor?: NamedActor };
  const { envelopes, sealer, disk } = batch.state;
  if (envelopes.rotation.since !== null && envelopes.keyAtHand) {
    return refused(
      refuse(
        'key.rotating',
        `The envelope key is being rotated since ${envelopes.rotation.since}; nothing was changed. Wait until it is done (holdfast status).`,
      ),
    );
  }
  if (disk.level !== 'ok') {
    return refused(
      refuse('disk.full', 'The disk is nearly full, so no key was made. Free space on it first.'),
    );
  }
  const from = envelopes.rotation.epoch;
  const to = Math.max(from, ...sealer.epochs) + 1;
  // Before the entry: an entry never names a key that is not on disk.
  sealer.make(to);
  const by = actor === undefined ? SYSTEM : { id: recordableText(actor.id), role: null };
  const { index } = batch.record(KEY_STREAM, 'key.rotated', by, {
    name: 'envelope',
    step: 'begun',
    from,
    to,
    reason: recordableText(reason),
    ...callerData(batch, call),
  });
  envelopes.begun(to, isoTime(batch.now));
  return (state) =>
    reply(200, { name: 'envelope', from, to, record_id: index, proof: proofOf(state, index) });
}

/** `envelopes.rotated`: every data key lies under the new key and the old ones are destroyed. Internal. */
export function envelopeRotated(batch: Batch): AfterCommit {
  const { envelopes } = batch.state;
  const { epoch } = envelopes.rotation;
  batch.record(KEY_STREAM, 'key.rotated', SYSTEM, {
    name: 'envelope',
    step: 'finished',
    to: epoch,
    lost: envelopes.lost,
  });
  envelopes.finished();
  return () => ({ status: 200, body: '{}' });
}
