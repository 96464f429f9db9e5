import { siteTargetDigest } from '../../core/hold.ts';
import { type Refusal, refuse } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { decodeEntry } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { SERIAL_STEP_MAX } from '../../formats/site-target.ts';
import type { Batch, EngineState } from '../context.ts';
import { proofOf } from '../context.ts';
import type { AppliedPolicy } from '../policies.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { pinnedOf, putInForce, renewInForce } from './activate.ts';
import { checkOffered, forgettable, holdUpdate, supersede } from './hold.ts';
import { refused } from './lifecycle.ts';

type Update = Omit<AppliedPolicy, 'environments'>;
/**
 * `checked`: its bundles were found to be without defects (`compileBundle`) by whoever brings it. `expires_at`: when the
 * first of its metadata does.
 */
type Apply = Update & { checked?: boolean; expires_at?: string | null };

/**
 * `policy.apply`: puts a verified update in force, or has it wait where policy or its own date says so. Its files are
 * already durable in the store; this entry is the commit point, and what is in force is what the newest `policy.applied`
 * says. Serials and versions only grow.
 */
export function applyPolicy(batch: Batch, call: EngineCall): AfterCommit {
  const { checked = false, expires_at = null, ...update } = JSON.parse(call.body ?? '{}') as Apply;
  const { policies, site, holds } = batch.state;
  const before = policies.applied;
  if (update.site_target.site !== site) {
    return refused(
      refuse('policy.wrong_site', `The update is for site ${update.site_target.site}; this is ${site}.`),
    );
  }
  if (before?.update_id === update.update_id) {
    // Its files were just verified and stored again: what could not be loaded from them before may load now.
    if (policies.isIncomplete) {
      policies.activate(before, policies.age.steps());
      policies.age.advance(batch);
      policies.anchoring.advance(batch, batch.state.time.floor(), batch.state.projections);
    }
    return () => reply(200, { applied: true, unchanged: true });
  }
  const renewed = before !== null && isSameTarget(before, update) ? before : null;
  const wrong = checkNewer(before, update, renewed !== null) ?? checkOffered(batch.state, update);
  if (wrong !== null) return refused(wrong);
  if (renewed !== null) return renewPolicy(batch, renewed, update);
  const environments = pinnedOf(update.site_target);
  try {
    for (const { digest } of Object.values(environments)) policies.admit(digest, checked);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refused(refuse('policy.defective', `${error.message} The policy in force stays as it was.`));
  }
  const applied: AppliedPolicy = { ...update, environments };
  const waits = holdUpdate(batch, { applied, expires_at });
  if (waits !== null) return waits;
  const offeredBefore = holds.high_water?.update_id;
  supersede(batch, applied);
  const index = putInForce(batch, applied, { id: update.who, role: null });
  const forget = before?.update_id === offeredBefore ? [] : forgettable(batch, offeredBefore);
  return (state) =>
    reply(200, { applied: true, record_id: index, environments, forget, proof: proofOf(state, index) });
}

function isSameTarget({ site_target }: AppliedPolicy, update: Update): boolean {
  return siteTargetDigest(site_target) === siteTargetDigest(update.site_target);
}

/**
 * Other signatures about what is in force already: a key was taken away, another site or region was published for, or the
 * date was set anew. What the site runs stays; what it believes from now on must be the newer (TUF §5.3 to §5.5), or a key
 * that headquarters revoked would go on counting here. Nobody has to release that, and nothing is lifted by it.
 */
function renewPolicy(batch: Batch, before: AppliedPolicy, update: Update): AfterCommit {
  const { environments, repository } = before;
  // The same repository in other bytes says nothing new.
  if (ROLES.every((role) => update.repository[role] === repository[role]))
    return () => reply(200, { applied: true, unchanged: true });
  const renewal = { ...update, environments, renews: before.update_id };
  const index = renewInForce(batch, renewal);
  // The update that put the bundles in force stays: decisions cite it. What only renewed it is not needed any more.
  const forget = before.renews === undefined ? [] : [before.update_id];
  return (state) =>
    reply(200, {
      applied: true,
      unchanged: true,
      renewed: true,
      record_id: index,
      environments,
      forget,
      proof: proofOf(state, index),
    });
}

const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;

function checkNewer(
  before: AppliedPolicy | null,
  { site_target: next, repository }: Update,
  isSame: boolean,
): Refusal | null {
  const limit = (before?.site_target.serial ?? 0) + SERIAL_STEP_MAX;
  if (next.serial > limit) {
    return refuse(
      'policy.serial_too_high',
      `The update has serial ${next.serial}; after what is in force at most ${limit} is believed, because a serial can only grow. Nothing was changed. Tell the publisher that somebody signed it.`,
    );
  }
  if (before === null) return null;
  if (!isSame && next.serial <= before.site_target.serial) {
    return refuse(
      'policy.not_newer',
      `The update has serial ${next.serial}; serial ${before.site_target.serial} is in force. Nothing was changed.`,
    );
  }
  // Verification compares with the files of what was accepted last; this holds even if somebody changed those.
  for (const role of ROLES) {
    if (repository[role] >= before.repository[role]) continue;
    return refuse(
      'policy.not_newer',
      `The ${role} file of the update has version ${repository[role]}; version ${before.repository[role]} was accepted here already. Nothing was changed.`,
    );
  }
  for (const [environment, bundle] of Object.entries(next.environments)) {
    const current = before.environments[environment];
    if (current !== undefined && current.name === bundle.name && bundle.version < current.version) {
      return refuse(
        'policy.not_newer',
        `${environment} runs ${current.name} version ${current.version}; the update holds the older ${bundle.version}. Nothing was changed.`,
      );
    }
  }
  return null;
}

/** `policy.refuse`: records that an update was offered and not accepted. Changes nothing else. */
export function refusePolicy(batch: Batch, call: EngineCall): AfterCommit {
  const { source, who, code, reason } = JSON.parse(call.body ?? '{}') as Record<string, string>;
  const data = { source: source ?? null, who: who ?? null, code: code ?? null, reason: reason ?? null };
  const { index } = batch.record('policy', 'policy.refused', { id: who ?? null, role: null }, data);
  return (state) => reply(200, { recorded: true, record_id: index, proof: proofOf(state, index) });
}

/**
 * `policy.prepare`: one small step towards having a bundle of the store ready, so that applying it keeps nobody waiting; to
 * be called until `open`, so that it can be applied, and from then on until `ready`, applied or not. Puts nothing in force.
 */
export function preparePolicy(state: EngineState, call: EngineCall): EngineReply {
  try {
    return reply(200, { readiness: state.policies.prepare(call.args.digest ?? '') });
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return problem(refuse('policy.defective', `${error.message} The policy in force stays as it was.`));
  }
}

/** `policy.get`: what is in force, with the rules and the roster of each environment's bundle unless `brief` is asked for. */
export function getPolicy(state: EngineState, call: EngineCall): EngineReply {
  const { applied, failures } = state.policies;
  const environments = Object.entries(applied?.environments ?? {}).map(([environment, pinned]) => {
    if (call.args.brief !== undefined) return { environment, ...pinned };
    const bundle = state.policies.active(environment)?.compiled.bundle ?? null;
    return {
      environment,
      ...pinned,
      loaded: bundle !== null,
      failure: failures.get(environment) ?? null,
      shadow: shadowOf(state, environment),
      issued_at: bundle?.metadata.issued_at ?? null,
      description: bundle?.metadata.description ?? null,
      freshness: bundle?.metadata.freshness ?? null,
      anchoring: bundle?.anchoring ?? null,
      actions: bundle?.actions ?? null,
      gates: bundle?.gates ?? null,
      risk: bundle?.risk ?? null,
      authority: bundle?.authority ?? null,
      principals: bundle?.principals ?? null,
      incidents: bundle?.incidents ?? null,
      suspension: bundle?.suspension ?? null,
      breakglass: bundle?.breakglass ?? null,
    };
  });
  return reply(200, {
    update_id: applied?.update_id ?? null,
    newest_offered: state.holds.high_water?.update_id ?? null,
    serial: applied?.site_target.serial ?? null,
    repository: applied?.repository ?? null,
    environments,
  });
}

/** The bundle that an environment has in shadow, for people; null when there is none. */
function shadowOf({ policies }: EngineState, environment: string): JsonObject | null {
  const shadow = policies.shadowIn(environment);
  if (shadow === undefined) return null;
  const { name, classes, compiled } = shadow;
  return {
    policy: { ...name },
    classes: classes === null ? null : [...classes],
    loaded: compiled !== null,
  };
}

const HISTORY_LIMIT = 200;

/** `policy.history`: the newest entries about policy (applied, refused, degraded), oldest of them first. */
export function getPolicyHistory(state: EngineState, call: EngineCall): EngineReply {
  const limit = Math.min(Number(call.args.limit ?? HISTORY_LIMIT), HISTORY_LIMIT);
  // A stream may be long: a medium can be offered, and refused, any number of times.
  const stream = state.ledger.stream('policy', limit);
  const entries = stream.map(({ index, bytes }) => ({ index, entry: decodeEntry(bytes) }));
  return reply(200, { total: (entries.at(-1)?.entry.seq ?? -1) + 1, entries });
}
