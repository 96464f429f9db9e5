import { type BreakglassSession, foldSession } from '../../core/breakglass-session.ts';
import { isoTime } from '../../core/create.ts';
import { type Refusal, refuse } from '../../core/refusal.ts';
import { decodeEntry, type EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, proofOf, type Recorded } from '../context.ts';
import { type AfterCommit, reply } from '../reply.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };

/** What the clock has to say about sessions and grants: `breakglass.ended`, `breakglass.overdue`, `grant.expired`. */
export function recordBreakglassDue(batch: Batch): void {
  const { state } = batch;
  const due = state.breakglass.due(batch);
  if (due === null) return;
  for (const { id, why } of due.ended) endSession(batch, sessionOf(state, id), SYSTEM, { why });
  for (const id of due.overdue) {
    const { review_due } = sessionOf(state, id);
    batch.record(id, 'breakglass.overdue', SYSTEM, { review_due });
    state.breakglass.recordedOverdue(id);
  }
  for (const id of due.grants) {
    batch.record(id, 'grant.expired', SYSTEM, { reason: 'it was not used in time' });
    state.breakglass.grantClosed(id);
  }
}

/** What was given under a session dies with it, recorded end or not; null when there is nothing against it. */
export function checkBreakglass(batch: Batch, session: string | undefined): Refusal | null {
  if (session === undefined || batch.state.breakglass.isOpen(session, batch)) return null;
  return refuse(
    'breakglass.ended',
    `The break-glass session ${session}, under which this was asked, is over. Nothing may run; ask for a new decision.`,
  );
}

/** Records the end of a session; its review is due from then on. */
export function endSession(
  batch: Batch,
  session: BreakglassSession,
  actor: EntryActor,
  data: JsonObject,
): AfterCommit {
  const due = batch.now + session.review.within_ms;
  const recorded = batch.record(session.id, 'breakglass.ended', actor, { ...data, review_due: isoTime(due) });
  batch.state.breakglass.ended(session.id, due);
  return (state) => sessionReply(sessionOf(state, session.id), recorded)(state);
}

/** A session that exists. */
export function sessionOf(state: EngineState, id: string): BreakglassSession {
  return foldSession(state.ledger.stream(id).map(({ bytes }) => decodeEntry(bytes)));
}

/** A session after an entry about it, with the proof of that. */
export function sessionReply(session: BreakglassSession, { index }: Recorded): AfterCommit {
  return (state) => reply(200, { ...session, ledger: { record_id: index, proof: proofOf(state, index) } });
}
