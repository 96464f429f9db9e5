import { judgePlace, MAX_UNUSED_GRANTS } from '../../core/breakglass.ts';
import type { BundleBreakGlass } from '../../core/bundle.ts';
import { durationMs } from '../../core/duration.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { decodeEntry } from '../../formats/entry.ts';
import { type Grant, grantDigest, parseGrant } from '../../formats/grant.ts';
import type { Batch, EngineState } from '../context.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';
import { noGrant } from './grant-views.ts';

/** A section with its grants: the only kind under which a grant is worth anything. */
export interface Granting {
  policy: LoadedPolicy;
  section: BundleBreakGlass;
  grants: NonNullable<BundleBreakGlass['grants']>;
}

/** A grant document as it was presented, or why it is none. */
export function readGrant(text: string): Grant | Refusal {
  try {
    return parseGrant(text);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse('breakglass.malformed', `${error.message} Nothing was done.`);
  }
}

/** A grant is for one site, and for one log of it: a ledger that was restored cannot know what was used in between. */
export function checkHere(batch: Batch, { id, site, log }: Grant): Refusal | null {
  const { state } = batch;
  if (site !== state.site)
    return refuse('approval.wrong_site', `Grant ${id} is for site ${site}; this is ${state.site}.`);
  if (log === state.ledger.origin) return null;
  return refuse(
    'grant.revoked',
    `Grant ${id} belongs to the log ${log}; this site goes on as ${state.ledger.origin}, which cannot know whether it was used. Nothing was opened; have new ones issued.`,
  );
}

/** The policy in force where a grant's session would be. */
export function policyOf(batch: Batch, { environment }: Grant): LoadedPolicy | null {
  return batch.state.policies.active(environment);
}

/** The section under which a grant is worth anything, or why there is none. */
export function grantingPolicy(batch: Batch, grant: Grant): Granting | Refusal {
  const policy = policyOf(batch, grant);
  if (policy === null)
    return refuse('policy.none', `No policy is in force for ${grant.environment}. Nothing was done.`);
  const section = judgePlace(policy.compiled.bundle, grant);
  if (isRefusal(section)) return section;
  const { grants } = section;
  if (grants !== undefined) return { policy, section, grants };
  return refuse('breakglass.not_in_policy', 'The policy in force has no sealed grants. Nothing was done.');
}

/** What the act that issues a grant must say, and who may say it. */
export function expectedIssue(grant: Grant, text: string, { grants }: Granting): ExpectedAct {
  return {
    subject: grant.id,
    digests: { grant: grantDigest(text) },
    answers: ['issue'],
    roles: grants.roles,
    reaches: grant,
    uncertain_time: 'reject',
  };
}

/** Whether a grant may be issued: not over, not good for too long, not one too many. */
export function checkValidity(batch: Batch, grant: Grant, { grants }: Granting): Refusal | null {
  const left = Date.parse(grant.expires_at) - batch.now;
  if (left <= 0)
    return refuse(
      'grant.expired',
      `The grant expires at ${grant.expires_at}, which is over. Nothing was issued.`,
    );
  if (left > durationMs(grants.max_validity)) return tooLong(grants);
  const most = grants.max_unused ?? MAX_UNUSED_GRANTS;
  if (batch.state.breakglass.unusedGrants < most) return null;
  return refuse(
    'grant.too_many',
    `${most} unused grants are out, and the policy allows no more. Nothing was issued; revoke one first.`,
  );
}

/** The refusal for a grant that would be good for longer than policy allows. */
export function tooLong({ max_validity }: Granting['grants']): Refusal {
  return refuse(
    'grant.too_long',
    `The grant would be good for longer than the ${max_validity} that the policy allows. Nothing was done.`,
  );
}

/** Whether a grant may be redeemed now, by a clock that can be believed. */
export function checkMoment(batch: Batch, { id, expires_at }: Grant): Refusal | null {
  if (batch.trust === 'uncertain') {
    return refuse(
      'approval.time_uncertain',
      `This site does not trust its clock at the moment, so it cannot tell whether grant ${id} is still good. Set the clock, then redeem it again; it is not used up.`,
    );
  }
  if (Date.parse(expires_at) > batch.now) return null;
  return refuse('grant.expired', `Grant ${id} expired at ${expires_at}. Nothing was opened.`);
}

/** Whether the reason may be recorded. */
export function checkWords(reason: string): Refusal | null {
  if (recordableText(reason) === reason) return null;
  return refuse(
    'breakglass.reason',
    'The reason looks like it holds a secret. Nothing was opened; write it without.',
  );
}

/** Whether a grant is still to be used; else what became of it. */
export function checkUnused(state: EngineState, id: string): Refusal | null {
  const row = state.projections.standing('grant', id);
  if (row?.state === 'issued') return null;
  const bytes = row === null ? null : state.ledger.entry(row.last_idx);
  if (bytes === null) return noGrant(id);
  const { type, at, stream } = decodeEntry(bytes);
  if (type === 'grant.revoked')
    return refuse('grant.revoked', `Grant ${id} was revoked at ${at}. Nothing was changed.`);
  if (type === 'grant.expired') return refuse('grant.expired', `Grant ${id} expired. Nothing was changed.`);
  return refuse(
    'grant.used',
    `Grant ${id} was used at ${at} and opened ${stream}. A grant works once; nothing was changed.`,
  );
}
