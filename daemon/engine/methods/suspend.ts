import { isRefusal, refuse } from '../../core/refusal.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import { isFingerprint } from '../../core/suspended.ts';
import type { Batch, EngineState } from '../context.ts';
import { proofOf } from '../context.ts';
import { KEY_STREAM } from '../key-stream.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { countSiteAct, sitePolicy } from '../site-acts.ts';
import { openSuspensions, SUSPENDED_MAX } from '../suspensions.ts';
import { refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

const LISTED = 1_000;

/**
 * `keys.suspend`: takes trust from a key, or from a principal with all its keys and identities, on the spot. Signed, by a
 * role that policy names or by the key's own owner. It can only narrow, so it needs no second person and no certain time;
 * nothing local takes it back. It counts for pending approvals and unredeemed permits too (invariant 4).
 */
export function suspendKey(batch: Batch, call: EngineCall): AfterCommit {
  const { suspended, policies } = batch.state;
  const policy = sitePolicy(policies);
  const roster = policy?.roster ?? null;
  const counted = countSiteAct(batch, call.body, ['suspend'], (act, key): ExpectedAct => {
    const own = roster?.byKey(key) ?? null;
    const target = isFingerprint(act.subject) ? (roster?.byKey(act.subject)?.id ?? null) : act.subject;
    const roles = policy?.compiled.bundle.suspension?.roles ?? [];
    return {
      subject: act.subject,
      digests: {},
      answers: ['suspend'],
      roles: own !== null && own.id === target ? [...roles, ...own.roles] : roles,
      reaches: null,
      uncertain_time: 'accept',
    };
  });
  if (isRefusal(counted)) return refused(counted);
  const { subject } = counted.act;
  if (roster?.byKey(subject) == null && roster?.principal(subject) == null) {
    return refused(
      refuse(
        'key.not_found',
        `Neither a key nor a principal of the policy in force is called ${subject.slice(0, 140)}; nothing was suspended. Look it up: holdfast keys list`,
      ),
    );
  }
  if (suspended.has(subject)) {
    return refused(refuse('key.suspended', `${subject} is suspended already; nothing was changed.`));
  }
  if (suspended.size >= SUSPENDED_MAX) {
    return refused(
      refuse(
        'key.suspended',
        `${SUSPENDED_MAX} keys and principals are suspended already; nothing was changed.`,
      ),
    );
  }
  const { index } = batch.record(KEY_STREAM, 'key.suspended', counted.actor, {
    ...counted.data,
    suspended: subject,
    ...callerData(batch, call),
  });
  suspended.add(subject);
  return (state) => reply(200, { suspended: subject, record_id: index, proof: proofOf(state, index) });
}

/** `keys.suspended`: what is suspended, oldest first. */
export function listSuspended(state: EngineState): EngineReply {
  const found = openSuspensions(state, LISTED).map(({ id, index, at, data }) => ({
    suspended: id,
    since: at,
    by: data.principal ?? null,
    role: data.role ?? null,
    reason: data.reason ?? null,
    act_digest: data.act_digest ?? null,
    record_id: index,
  }));
  return reply(200, { suspended: found });
}
