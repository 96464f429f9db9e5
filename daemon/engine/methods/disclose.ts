import { inScope } from '../../core/breakglass.ts';
import { isoTime } from '../../core/create.ts';
import type { Decision } from '../../core/decision.ts';
import {
  judgeReading,
  type Reader,
  type ReadingSession,
  type ReadingSubject,
  type RecordedRight,
} from '../../core/reading.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import { entryHash } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { sitePolicy } from '../site-acts.ts';
import { findDecision, type NamedActor, refused } from './lifecycle.ts';

/** The stream of everything that was opened or taken away. */
const READING_STREAM = 'reading';

/** Reads under one break-glass session. */
const SESSION_READS_MAX = 200;

interface DisclosureBody {
  right: RecordedRight;
  subject: ReadingSubject;
  reason: string;
  breakglass?: string;
  actor?: NamedActor;
}

/**
 * `ledger.disclose`: puts a read of payload values, or an export, on record before anything of it is shown. What is it
 * about → who asks → may they → one `ledger.read` entry → the entry's place, by which what was asked for is then fetched.
 */
export function discloseLedger(batch: Batch, call: EngineCall): AfterCommit {
  const body = JSON.parse(call.body ?? '{}') as DisclosureBody;
  const { right, subject } = body;
  const found = subject.decision_id === undefined ? null : findDecision(batch, subject.decision_id);
  if (isRefusal(found)) return refused(found);
  const count = countOf(batch, subject);
  if (isRefusal(count)) return refused(count);
  const policy = sitePolicy(batch.state.policies);
  const reader = readerOf(batch, call, body.actor);
  if (isRefusal(reader)) return refused(reader);
  const session = sessionOf(batch, body.breakglass, found?.decision ?? null);
  const admitted = judgeReading(policy?.compiled.bundle.reading, { right, reader, session }, batch);
  if (isRefusal(admitted)) return refused(admitted);
  // Under break-glass it belongs to what is reviewed with the session.
  const stream = session === null ? READING_STREAM : session.id;
  if (session !== null && batch.state.ledger.streamHead(stream).seq > SESSION_READS_MAX)
    return refused(tooMany(session.id));
  const { index, bytes } = batch.record(stream, 'ledger.read', admitted, {
    right,
    subject: { ...subject },
    reason: recordableText(body.reason, policy?.compiled.secrets),
    count,
    reader: readerData(reader, call),
    ...(session === null ? {} : { breakglass: session.id }),
  });
  return () => reply(200, { index, entry_id: entryHash(bytes), at: isoTime(batch.now), right, count });
}

function tooMany(session: string): Refusal {
  return refuse(
    'breakglass.too_many',
    `${SESSION_READS_MAX} reads are on record under session ${session}, which is more than anybody reviews. Nothing was shown or recorded. End it, and have somebody with the right read.`,
  );
}

/** How many entries it is about. */
function countOf(batch: Batch, { decision_id, from, size }: ReadingSubject): number | Refusal {
  const { ledger } = batch.state;
  if (decision_id !== undefined) return ledger.streamHead(decision_id).seq;
  const held = ledger.size;
  const first = from ?? 0;
  if (first < held) return Math.min(size ?? held, held - first);
  return refuse(
    'ledger.entry_not_found',
    `The ledger has ${held} entries; there is no index ${first}. Nothing was shown or recorded.`,
  );
}

/** Who asks: by the socket's word where callers are told apart, by the name they give where they are not. */
function readerOf(batch: Batch, { peer }: EngineCall, actor: NamedActor | undefined): Reader | Refusal {
  const { peers, policies, profile } = batch.state;
  const roster = sitePolicy(policies)?.roster ?? null;
  const named = (id: string | null, proof: Reader['proof']): Reader => ({
    id,
    principal: id === null ? null : (roster?.principal(id) ?? null),
    proof,
  });
  if (peers.inUse && peer.socket !== 'internal') {
    const caller = peers.caller(peer, batch);
    if ('refused' in caller) return caller;
    const wrong = actor === undefined ? null : peers.nameRefusal(peer, actor.id, batch);
    if (wrong !== null) return wrong;
    // A bare name opens nothing where others have to show who they are.
    return named(caller.principal === null ? null : (actor?.id ?? caller.principal), 'identity');
  }
  if (actor !== undefined) return named(actor.id, 'name');
  return named(null, profile === 'dev' ? 'none' : 'name');
}

/** How the reader was known, and as whom the kernel and the certificate know the caller. */
function readerData({ proof }: Reader, { peer }: EngineCall): JsonObject {
  return {
    known_by: proof,
    ...(peer.uid === null ? {} : { uid: peer.uid }),
    ...(peer.certificate === undefined ? {} : { certificate: peer.certificate }),
  };
}

function sessionOf(batch: Batch, id: string | undefined, decision: Decision | null): ReadingSession | null {
  if (id === undefined) return null;
  const session = batch.state.breakglass.openNow(batch).find((one) => one.id === id);
  const in_place =
    session !== undefined &&
    decision !== null &&
    inScope({ ...session.scope, actor: null }, decision, decision.context.environment);
  return { id, open: session !== undefined, in_place };
}
