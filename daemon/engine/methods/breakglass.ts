import { judgeScope, MAX_OPEN, placeWords } from '../../core/breakglass.ts';
import { type BreakglassSession, foldSession } from '../../core/breakglass-session.ts';
import type { BundleBreakGlass } from '../../core/bundle.ts';
import { isoTime } from '../../core/create.ts';
import { durationMs } from '../../core/duration.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import {
  type BreakglassScope,
  formatScope,
  isSessionId,
  parseScope,
  scopeDigest,
} from '../../formats/breakglass-scope.ts';
import type { EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { UNREVIEWED_MAX } from '../breakglass-sessions.ts';
import type { Batch, EngineState } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { type CountedAct, countSiteAct } from '../site-acts.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';
import { endSession, sessionOf, sessionReply } from './breakglass-clock.ts';
import { refuseAct } from './breakglass-refusals.ts';
import { refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

/**
 * `breakglass.activate`: opens a session by one signature. Scope readable → policy allows it → signature, person, time →
 * nothing in the way (too many open, a review overdue) → one entry. What is asked under it is decided as ever, and marked.
 */
export function activateBreakglass(batch: Batch, call: EngineCall): AfterCommit {
  const { scope: text } = JSON.parse(call.body ?? '{}') as { scope: string };
  const scope = readScope(text);
  if (isRefusal(scope)) return refused(scope);
  const policy = batch.state.policies.active(scope.environment);
  const section = policy === null ? noPolicy(scope.environment) : judgeScope(policy.compiled.bundle, scope);
  if (isRefusal(section)) return refuseAct(batch, call, policy, section);
  const counted = countSiteAct(
    batch,
    call.body,
    ['breakglass'],
    ({ subject }) => ({
      subject: isSessionId(subject) ? subject : 'bg_ and a UUIDv7',
      digests: { scope: scopeDigest(text) },
      answers: ['activate'],
      roles: section.roles,
      reaches: scope,
      uncertain_time: 'reject',
    }),
    policy?.roster ?? null,
  );
  if (isRefusal(counted)) return refuseAct(batch, call, policy, counted);
  const { subject } = counted.act;
  const hindrance = checkRoom(batch, section, subject);
  if (hindrance !== null) return refuseAct(batch, call, policy, hindrance);
  return openSession(batch, subject, {
    scope,
    section,
    actor: counted.actor,
    data: { ...counted.data, ...callerData(batch, call) },
  });
}

/** What a session is opened with: by whose word, and what the entry says beside it. */
export interface Opening {
  scope: BreakglassScope;
  section: BundleBreakGlass;
  actor: EntryActor;
  /** With `principal`, `role`, `key` and `reason`, as `ActivatedData` has them. */
  data: JsonObject;
}

/** Records `breakglass.activated`; from that entry on the session is open. */
export function openSession(batch: Batch, id: string, { scope, section, actor, data }: Opening): AfterCommit {
  const { review } = section;
  const recorded = batch.record(id, 'breakglass.activated', actor, {
    ...data,
    scope: scope as unknown as JsonObject,
    scope_digest: scopeDigest(formatScope(scope, scope.reason)),
    expires_at: isoTime(batch.now + scope.ttl_seconds * 1_000),
    review: { roles: review.roles, within_ms: durationMs(review.within) },
  });
  const session = foldSession([recorded.entry]);
  batch.state.breakglass.opened(session, recorded.index, batch.trust);
  return sessionReply(session, recorded);
}

/** Why no session can be opened at the moment, whoever asks; null when one can. */
export function checkRoom(batch: Batch, section: BundleBreakGlass, id: string): Refusal | null {
  const { breakglass, ledger } = batch.state;
  if (ledger.streamHead(id).last !== null) {
    return refuse(
      'breakglass.exists',
      `There is a session ${id} already. Nothing was opened; sign a new one.`,
    );
  }
  const most = section.max_open ?? MAX_OPEN;
  const open = breakglass.openNow(batch);
  if (open.length >= most) {
    return refuse(
      'breakglass.too_many',
      `${open.length} of at most ${most} sessions are open (${open.map(({ id }) => id).join(', ')}). Nothing was opened; end one first.`,
    );
  }
  const waiting = breakglass.unreviewed(batch);
  const [late] = waiting;
  if (late?.overdue === true && section.review.overdue === 'block_next') {
    return refuse(
      'breakglass.review_overdue',
      `The review of ${late.id} was due at ${isoTime(late.due)}, and the policy opens nothing before it. Nothing was opened; have it reviewed: holdfast breakglass review ${late.id} --note TEXT --key KEY`,
    );
  }
  if (waiting.length < UNREVIEWED_MAX) return null;
  return refuse(
    'breakglass.too_many',
    `${waiting.length} sessions wait for their review. Nothing was opened.`,
  );
}

/** `breakglass.end`: by hand, signed. Counts whatever the clock says: it only takes away. */
export function endBreakglass(batch: Batch, call: EngineCall): AfterCommit {
  const session = loadSession(batch.state, call.args.id);
  if (isRefusal(session)) return refused(session);
  const policy = batch.state.policies.active(session.scope.environment);
  const section = policy?.compiled.bundle.breakglass;
  const counted = countAbout(batch, call, session, 'breakglass', {
    answers: ['end'],
    roles: [...(section?.roles ?? [session.role]), ...(section?.review ?? session.review).roles],
    uncertain_time: 'accept',
    policy,
  });
  if (isRefusal(counted)) return refused(counted);
  if (session.state !== 'active') return refused(wrongState(session, 'It is over already.'));
  return endSession(batch, session, counted.actor, {
    ...counted.data,
    ...callerData(batch, call),
    why: 'by_hand',
  });
}

/**
 * `breakglass.review`: somebody else looked at what was done under a session, signed. By a person of a role that the policy
 * names, who neither opened it nor used the grant that did.
 */
export function reviewBreakglass(batch: Batch, call: EngineCall): AfterCommit {
  const session = loadSession(batch.state, call.args.id);
  if (isRefusal(session)) return refused(session);
  const policy = batch.state.policies.active(session.scope.environment);
  const counted = countAbout(batch, call, session, 'review', {
    answers: ['reviewed'],
    roles: (policy?.compiled.bundle.breakglass?.review ?? session.review).roles,
    uncertain_time: 'reject',
    policy,
  });
  if (isRefusal(counted)) return refused(counted);
  const { id: reviewer } = counted.actor;
  if (reviewer === session.principal || reviewer === session.grant?.redeemed_by) {
    return refused(
      refuse(
        'approval.self',
        `${reviewer} broke the glass of ${session.id} and cannot review it. Nothing was recorded; somebody else must.`,
      ),
    );
  }
  if (session.state === 'active') {
    return refused(wrongState(session, `End it first: holdfast breakglass end ${session.id} --key KEY`));
  }
  if (session.state === 'closed') return refused(wrongState(session, 'It was reviewed already.'));
  const recorded = batch.record(session.id, 'breakglass.reviewed', counted.actor, {
    ...counted.data,
    ...callerData(batch, call),
  });
  batch.state.breakglass.reviewed(session.id);
  return (state) => sessionReply(sessionOf(state, session.id), recorded)(state);
}

interface About {
  answers: string[];
  roles: string[];
  uncertain_time: 'reject' | 'accept';
  policy: LoadedPolicy | null;
}

/** A signed act about a session that exists: it binds the session's scope. */
function countAbout(
  batch: Batch,
  call: EngineCall,
  session: BreakglassSession,
  kind: 'breakglass' | 'review',
  { policy, ...about }: About,
): CountedAct | Refusal {
  const expected = {
    subject: session.id,
    digests: { scope: session.scope_digest },
    reaches: session.scope,
    ...about,
  };
  return countSiteAct(batch, call.body, [kind], () => expected, policy?.roster ?? null);
}

function readScope(text: string): BreakglassScope | Refusal {
  try {
    return parseScope(text);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse('breakglass.malformed', `${error.message} Nothing was opened.`);
  }
}

function noPolicy(environment: string): Refusal {
  return refuse(
    'policy.none',
    `No policy is in force for ${environment.slice(0, 64)}, so nobody may break the glass there.`,
  );
}

function wrongState({ id, state, scope }: BreakglassSession, next: string): Refusal {
  const how = { active: 'open', ended: 'ended', overdue: 'ended', closed: 'reviewed' }[state];
  return refuse(
    'breakglass.wrong_state',
    `Session ${id} (${placeWords(scope)}) is ${how}. Nothing was changed. ${next}`,
  );
}

/** The session that a call names, as its entries say; a refusal when there is none. */
function loadSession(state: EngineState, id: string | undefined): BreakglassSession | Refusal {
  if (id !== undefined && state.projections.standing('breakglass', id) !== null) return sessionOf(state, id);
  return refuse('breakglass.not_found', `There is no break-glass session ${id} at this site.`);
}

/** Decisions under a session that are named; nobody reviews more by hand. */
const DECISIONS_SHOWN = 1_000;

/** `breakglass.get`: one session as it stands, with the decisions under it. */
export function getBreakglass(state: EngineState, call: EngineCall): EngineReply {
  const session = loadSession(state, call.args.id);
  if (isRefusal(session)) return problem(session);
  const decisions = state.projections.underBreakglass(session.id, DECISIONS_SHOWN);
  return reply(200, { ...session, decisions });
}

const LIST_LIMIT = 200;

/** `breakglass.list`: what is open or waits for its review, oldest first; with `all`, everything by id (so by time). */
export function listBreakglass(state: EngineState, { args }: EngineCall): EngineReply {
  const limit = Math.min(Number(args.limit ?? LIST_LIMIT), LIST_LIMIT);
  const rows =
    args.all === 'true'
      ? state.projections.standingPage('breakglass', args.after ?? '', limit)
      : state.projections.standingOpen('breakglass', limit);
  const next = args.all === 'true' && rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
  return reply(200, { sessions: rows.map(({ id }) => sessionOf(state, id)), next });
}
