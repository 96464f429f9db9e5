import { durationMs } from '../../core/duration.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import type { OutsideTime } from '../../core/time-ladder.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { SignedAct } from '../../formats/signed-act.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { countSiteAct } from '../site-acts.ts';
import type { TimeReport } from '../time.ts';
import { CHALLENGE_TTL_MS } from '../time-challenges.ts';
import { clockRecord, learnWith, TIME_STREAM } from '../time-history.ts';
import { refused } from './lifecycle.ts';

const SYSTEM = { id: null, role: 'system' } as const;
const CHALLENGE_BYTES = 32;

/** Subject and answer of a statement of the time. */
const TIME_SUBJECT = 'time';
const TIME_ANSWER = 'state';

/** Records how far the clock can be believed from now on: `time.uncertain`, or `time.restored` when it can be again. */
export function recordTime(batch: Batch): void {
  const time = batch.state.time.latest();
  batch.record(TIME_STREAM, time.doubt === null ? 'time.restored' : 'time.uncertain', SYSTEM, told(time));
  batch.toldTime = true;
}

/**
 * `time.state`: a signed statement of what time it is. It counts by the role that policy names and by its challenge, which
 * says how old it can be at most; the site's own clock has no say in it. Raises or lowers the floor; a clock that agrees
 * is trusted from then on, one that does not is uncertain until it is set right.
 */
export function stateTime(batch: Batch, call: EngineCall): AfterCommit {
  const { time, policies } = batch.state;
  const rules = policies.forSite()?.compiled.bundle.time;
  let age = 0;
  const counted = countSiteAct(batch, call.body, ['time'], (act) => {
    const answered = ageOf(batch, act);
    if (typeof answered !== 'number') return answered;
    age = answered;
    return expectedAct(act, rules?.state_roles ?? []);
  });
  if (isRefusal(counted)) return refused(counted);
  const at = Date.parse(counted.act.issued_at);
  const lowered = time.floor() - at;
  if (rules?.max_lowering !== undefined && lowered > durationMs(rules.max_lowering)) {
    return refused(tooFarBack(counted.act, time.floor(), rules.max_lowering));
  }
  const outside: OutsideTime = { source: 'statement', at, window: age };
  const after = time.preview(outside);
  const type = after.doubt === null ? 'time.restored' : 'time.uncertain';
  const { index } = batch.record(TIME_STREAM, type, counted.actor, {
    ...counted.data,
    ...told(after),
    floor_before: iso(time.floor()),
    outside_time: learnWith(batch, outside),
  });
  batch.toldTime = true;
  return (state) => reply(200, { ...shown(state), record_id: index, proof: proofOf(state, index) });
}

/** `time.get`: how far the clock can be believed and why, with a fresh challenge for whoever states the time. */
export function getTime(state: EngineState, _call: EngineCall): EngineReply {
  const { monotonic } = state.time.read();
  const challenge = state.time.challenges.draw(state.random.bytes(CHALLENGE_BYTES), monotonic);
  return reply(200, { ...shown(state), challenge, challenge_ttl_seconds: CHALLENGE_TTL_MS / 1_000 });
}

/** Whether policy has the site believe what the kernel says about its clock. */
export function believesKernel({ policies }: EngineState): boolean {
  return policies.forSite()?.compiled.bundle.time?.believe_kernel === true;
}

/** What entries say about the time, by its last look or by what it will be after one. */
function told(time: TimeReport): JsonObject {
  return { cause: time.doubt ?? time.grounds, trust: time.trust, clock: clockRecord(time) };
}

/** What people are shown of it. */
function shown(state: EngineState): JsonObject {
  const time = state.time.report();
  const rules = state.policies.forSite()?.compiled.bundle.time ?? null;
  return {
    now: iso(time.now),
    trust: time.trust,
    cause: time.doubt ?? time.grounds,
    settling: time.settling,
    since: time.since === null ? null : iso(time.since),
    floor: iso(time.floor),
    expected: time.expected === null ? null : iso(time.expected),
    boot: time.boot,
    rules: rules as unknown as JsonObject | null,
  };
}

function ageOf(batch: Batch, act: SignedAct): number | Refusal {
  const age = batch.state.time.challenges.ageOf(act.subject_digest.challenge ?? '', batch.monotonic);
  if (age === null) {
    return refuse(
      'time.challenge_unknown',
      'The statement answers a challenge that this run of the daemon did not draw, or drew too long ago, so nobody can tell how old it is. Nothing was changed. Ask for a new challenge ("holdfast time show") and sign again.',
    );
  }
  if (age > act.ttl_seconds * 1_000) {
    return refuse(
      'approval.expired',
      `The statement was to arrive within ${act.ttl_seconds} s of its challenge and took longer. Nothing was changed. Ask for a new challenge and sign again.`,
    );
  }
  return age;
}

function expectedAct(act: SignedAct, roles: readonly string[]): ExpectedAct {
  return {
    subject: TIME_SUBJECT,
    digests: { challenge: act.subject_digest.challenge ?? '' },
    answers: [TIME_ANSWER],
    roles,
    reaches: null,
    uncertain_time: 'ignore',
  };
}

function tooFarBack({ issued_at }: SignedAct, floor: number, limit: string): Refusal {
  return refuse(
    'time.lowered_too_far',
    `The statement says ${issued_at}; it is at least ${iso(floor)} here, and one statement may take that back by ${limit} at most. Nothing was changed. If it really is that early, state it in steps, or bring in a policy with a larger max_lowering.`,
  );
}

function iso(ms: number): string {
  return new Date(Math.floor(ms)).toISOString();
}
