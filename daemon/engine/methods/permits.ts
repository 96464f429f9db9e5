import { completesAuthority } from '../../core/approve.ts';
import { counting } from '../../core/counting.ts';
import { decisionIdOf, isoTime } from '../../core/create.ts';
import type { DecisionRecord } from '../../core/fold.ts';
import { assertTransition, checkLifecycle } from '../../core/lifecycle.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { rosterAt } from '../../core/roster.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Permit } from '../../formats/permit.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import { valuesForTool } from '../envelopes.ts';
import { grantState } from '../grants.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { checkBreakglass } from './breakglass-clock.ts';
import { checkHalted, refuseOutcome } from './bypass.ts';
import { changed, freeText, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

interface Held {
  record: DecisionRecord;
  permit: Permit;
}

/**
 * `permits.redeem`: consumes a permit once, as an entry, before anything runs. Everything is judged again at this
 * moment: audience, action, time, and whether every approval behind it still counts.
 */
export function redeemPermit(batch: Batch, call: EngineCall): AfterCommit {
  const { audience, action_digest } = JSON.parse(call.body ?? '{}') as {
    audience: string;
    action_digest: string;
  };
  const held = findPermit(batch, call.args.id, audience);
  if ('refused' in held) return refused(held);
  const { permit, record } = held;
  const wrong =
    batch.state.peers.audienceRefusal(call.peer, audience, batch) ??
    checkLifecycle('redeem', record.decision) ??
    checkAction(permit, action_digest) ??
    checkHalted(batch, permit) ??
    checkWindow(batch, held) ??
    checkStillAuthorized(batch, record) ??
    checkBreakglass(batch, permit.breakglass);
  if (wrong !== null) return refused(wrong);
  const sensitive = valuesForTool(batch.state, record.decision);
  if (isRefusal(sensitive)) return refused(sensitive);
  assertTransition('redeem', 'permit.redeemed', []);
  const { index } = batch.record(
    permit.decision_id,
    'permit.redeemed',
    { id: audience, role: 'audience' },
    {
      transitions: [],
      permit_id: permit.id,
      audience,
      action_digest,
      ...callerData(batch, call),
    },
  );
  const redeemed_at = isoTime(batch.now);
  return (state) =>
    reply(200, {
      permit_id: permit.id,
      decision_id: permit.decision_id,
      redeemed_at,
      proof: proofOf(state, index),
      sensitive: sensitive.values,
    });
}

/** `permits.outcome`: what became of a redeemed permit, reported by the one that redeemed it. */
export function reportOutcome(batch: Batch, call: EngineCall): AfterCommit {
  const { audience, result, detail } = JSON.parse(call.body ?? '{}') as {
    audience: string;
    result: 'succeeded' | 'failed' | 'unknown';
    detail?: JsonObject;
  };
  const foreign = batch.state.peers.audienceRefusal(call.peer, audience, batch);
  if (foreign !== null) return refused(foreign);
  const permit_id = call.args.id ?? '';
  const uncovered = (refusal: Refusal) =>
    refuseOutcome(batch, { permit_id, audience, result, detail: detail ?? {}, refusal });
  const held = findPermit(batch, permit_id, audience);
  if ('refused' in held) return uncovered(held);
  const { permit, record } = held;
  if (record.decision.permit_state === result) return changed(batch, permit.decision_id);
  const wrong = checkLifecycle('report', record.decision);
  if (wrong !== null) return uncovered(wrong);
  assertTransition('report', 'permit.outcome', ['executed']);
  batch.record(
    permit.decision_id,
    'permit.outcome',
    { id: audience, role: 'audience' },
    {
      transitions: ['executed'],
      permit_id: permit.id,
      audience,
      result,
      detail: scrubbedDetail(batch, record, detail ?? {}),
      ...callerData(batch, call),
    },
  );
  return changed(batch, permit.decision_id);
}

/** What a target says in words is looked through like any free text; the rest of it is numbers and digests. */
function scrubbedDetail(batch: Batch, record: DecisionRecord, detail: JsonObject): JsonObject {
  const words = ['reason', 'signal'].flatMap((name) => {
    const text = detail[name];
    return typeof text === 'string' ? [[name, freeText(batch, record, text)] as const] : [];
  });
  return { ...detail, ...Object.fromEntries(words) };
}

const OPEN_PERMITS_LIMIT = 1_000;
const OPEN_PERMITS_PAGE = 200;
/** What of other audiences is read past at most: some hundred milliseconds. */
const OPEN_PERMITS_READ = 10_000;

/**
 * `permits.open`: permits of an audience that were redeemed and have no outcome yet, for its recovery at start; the oldest
 * 1,000. Those of other audiences take no place from them.
 */
export function openPermits(
  state: EngineState,
  call: EngineCall,
  load: (id: string) => DecisionRecord | null,
): EngineReply {
  const permits: OpenPermit[] = [];
  let after = '';
  for (let read = 0; read < OPEN_PERMITS_READ && permits.length < OPEN_PERMITS_LIMIT; ) {
    const rows = state.projections.withPermit('redeemed', after, OPEN_PERMITS_PAGE);
    permits.push(...rows.flatMap(({ id }) => openPermit(load(id), call.args.audience)));
    if (rows.length < OPEN_PERMITS_PAGE) break;
    after = rows.at(-1)?.id ?? after;
    read += rows.length;
  }
  return reply(200, { permits: permits.slice(0, OPEN_PERMITS_LIMIT) });
}

interface OpenPermit {
  permit_id: string;
  decision_id: string;
  redeemed_at: string;
}

function openPermit(record: DecisionRecord | null, audience: string | undefined): OpenPermit[] {
  const permit = record?.decision.permit;
  if (record === null || permit === undefined || permit.audience !== audience) return [];
  const { decision_id, timestamps } = record.decision;
  return [{ permit_id: permit.id, decision_id, redeemed_at: timestamps.updated_at }];
}

function findPermit(batch: Batch, permitId: string | undefined, audience: string): Held | Refusal {
  const record = permitId === undefined ? null : batch.decision(decisionIdOf(permitId));
  const permit = record?.decision.permit;
  if (record === null || permit === undefined || permit.id !== permitId) {
    return refuse('permit.not_found', `There is no permit ${permitId} at this site. Nothing may run.`);
  }
  if (permit.audience !== audience) {
    return refuse(
      'permit.wrong_audience',
      `Permit ${permit.id} is for ${permit.audience}, not for ${audience}. Nothing may run.`,
    );
  }
  return { record, permit };
}

function checkAction(permit: Permit, digest: string): Refusal | null {
  if (permit.action_digest === digest) return null;
  return refuse(
    'permit.wrong_digest',
    `Permit ${permit.id} was given for another action than the one presented. Nothing may run.`,
  );
}

/** A clock that was set back does not lengthen a permit, and one that was set ahead does not shorten it. */
function checkWindow(batch: Batch, { permit, record }: Held): Refusal | null {
  const state = grantState(batch.state, batch, {
    index: record.permit_index ?? 0,
    time_trust: record.permit_time_trust ?? 'uncertain',
    expires_at: Date.parse(permit.expires_at),
  });
  if (state === 'valid') return null;
  if (state === 'over')
    return refuse('permit.expired', `Permit ${permit.id} expired at ${permit.expires_at}. Ask again.`);
  return refuse(
    'permit.time_uncertain',
    `Permit ${permit.id} was given before this machine was last started, and its clock does not tell how long ago that was. Nothing may run. Set the clock and have the time stated ("holdfast time state"), or ask again.`,
  );
}

/** A key or person revoked since acts at once: on unredeemed permits too (invariant 4). */
function checkStillAuthorized(batch: Batch, { decision }: DecisionRecord): Refusal | null {
  const policy = batch.state.policies.active(decision.context.environment);
  if (policy === null) {
    return refuse('permit.revoked', 'No policy is in force for this environment any more. Nothing may run.');
  }
  const roster = rosterAt(policy.roster, batch);
  if (!completesAuthority(decision, {}, roster)) {
    const given = [...decision.authority.received, ...decision.policy.exceptions];
    const who = given.filter((each) => !counting(roster)(each)).map(({ principal }) => principal);
    return refuse(
      'permit.revoked',
      `The key with which ${who.join(', ')} approved was revoked since. Nothing may run; ask for a new decision.`,
    );
  }
  const requester = decision.context.actor.id;
  if (requester !== null && roster.principal(requester)?.status !== 'active') {
    return refuse('permit.revoked', `${requester}, who asked for it, is no longer active. Nothing may run.`);
  }
  return null;
}
