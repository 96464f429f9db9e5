import { isoTime } from '../../core/create.ts';
import { refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { EntryActor } from '../../formats/entry.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import { envelopeKeyReport } from '../envelope-key.ts';
import { KEY_STREAM } from '../key-stream.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import type { Reading } from '../time.ts';
import { type NamedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };

/**
 * `ledger.rotate_key`: a new key signs the ledger from this batch on. The entry carries the statement about it, signed by
 * the old key and the new; so does the checkpoint over the entry. engine/ledger-keys.ts has the steps and what a crash
 * between them leaves.
 */
export function rotateLedgerKey(batch: Batch, call: EngineCall): AfterCommit {
  const { reason, actor } = JSON.parse(call.body ?? '{}') as { reason: string; actor?: NamedActor };
  const { ledger, keys, disk } = batch.state;
  if (keys.isRotating) {
    return refused(
      refuse('key.rotating', 'The ledger key is being rotated this very moment; nothing was changed.'),
    );
  }
  if (disk.level !== 'ok') {
    return refused(
      refuse('disk.full', 'The disk is nearly full, so no key was made. Free space on it first.'),
    );
  }
  const old = keys.signer.vkey;
  const size = ledger.size + batch.events.length + 1;
  const { next, statement } = keys.prepare(size, batch.now);
  const by = actor === undefined ? SYSTEM : { id: recordableText(actor.id), role: null };
  const { index } = batch.record(KEY_STREAM, 'key.rotated', by, {
    name: 'ledger',
    old,
    new: next.vkey,
    size,
    reason: recordableText(reason),
    statement,
    ...callerData(batch, call),
  });
  ledger.changeKey(next);
  return (state) =>
    reply(200, {
      name: 'ledger',
      old,
      new: next.vkey,
      size,
      record_id: index,
      destroyed: state.keys.isSettled,
      checkpoint: state.ledger.checkpoint(),
      proof: proofOf(state, index),
    });
}

/** `ledger.keys`: the key in use and since when, those before it with the checkpoints that each signed, and the envelope key. */
export function getLedgerKeys(
  { keys, ledger, envelopes }: EngineState,
  _call: EngineCall,
  time: Reading,
): EngineReply {
  const report = keys.report();
  if (report === null) return problem(refuse('ledger.unavailable', 'The ledger was not read yet.'));
  const { since, ...known } = report;
  const due = keys.isDue(time.trust === 'uncertain' ? time.at_least : time.now);
  const envelope = envelopeKeyReport(ledger, envelopes);
  return reply(200, { ...known, since: since === null ? null : isoTime(since), due, envelope });
}
