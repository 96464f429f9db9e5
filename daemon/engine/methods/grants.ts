import { judgePlace, judgeReason, MAX_UNUSED_GRANTS } from '../../core/breakglass.ts';
import type { BundleBreakGlass } from '../../core/bundle.ts';
import { counting } from '../../core/counting.ts';
import { durationMs } from '../../core/duration.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { formatScope, parseScope } from '../../formats/breakglass-scope.ts';
import { decodeEntry, type Entry } from '../../formats/entry.ts';
import {
  commitCode,
  formatGrant,
  type Grant,
  grantDigest,
  parseGrant,
  placeOf,
} from '../../formats/grant.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import type { LoadedPolicy } from '../policies.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { countSiteAct } from '../site-acts.ts';
import { checkRoom, openSession } from './breakglass.ts';
import { recordRefusal, refuseAct } from './breakglass-refusals.ts';
import { refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

/** A section with its grants: the only kind under which a grant is worth anything. */
interface Granting {
  policy: LoadedPolicy;
  section: BundleBreakGlass;
  grants: NonNullable<BundleBreakGlass['grants']>;
}

/**
 * `grants.issue`: puts a sealed grant on record before it goes into its envelope, so that each one is accounted for. The
 * ledger gets the commitment to the code, never the code.
 */
export function issueGrant(batch: Batch, call: EngineCall): AfterCommit {
  const { grant: text } = JSON.parse(call.body ?? '{}') as { grant: string };
  const grant = readGrant(text);
  if (isRefusal(grant)) return refused(grant);
  const granting = checkHere(batch, grant) ?? grantingPolicy(batch, grant);
  if (isRefusal(granting)) return refuseAct(batch, call, policyOf(batch, grant), granting);
  const { policy } = granting;
  const late = checkValidity(batch, grant, granting);
  if (late !== null) return refuseAct(batch, call, policy, late);
  const expected = expectedIssue(grant, text, granting);
  const counted = countSiteAct(batch, call.body, ['grant'], () => expected, policy.roster);
  if (isRefusal(counted)) return refuseAct(batch, call, policy, counted);
  if (batch.state.projections.standing('grant', grant.id) !== null) {
    return refused(refuse('breakglass.exists', `There is a grant ${grant.id} already. Nothing was issued.`));
  }
  const { index } = batch.record(grant.id, 'grant.issued', counted.actor, {
    ...counted.data,
    ...callerData(batch, call),
    grant: grant as unknown as JsonObject,
    grant_digest: grantDigest(text),
  });
  batch.state.breakglass.issued(grant.id, Date.parse(grant.expires_at));
  return (state) => reply(200, { ...grantView(state, grant.id), ledger: ledgerOf(state, index) });
}

/**
 * `grants.redeem`: opens a session with the code off the paper, where nobody can sign. The grant is one that was issued
 * here, or one issued at headquarters whose signature comes with it and is judged now. Used up for ever by the entry
 * that opens the session.
 */
export function redeemGrant(batch: Batch, call: EngineCall): AfterCommit {
  const id = call.args.id ?? '';
  const body = JSON.parse(call.body ?? '{}') as RedeemBody;
  const issued = batch.state.projections.standing('grant', id);
  const found = issued === null ? presented(batch, call, id, body) : onRecord(batch, id);
  if (isRefusal(found)) return refused(found);
  const { grant, granting, issuer, evidence } = found;
  const { actor, reason, fields } = body;
  const wrong = batch.state.peers.nameRefusal(call.peer, actor.id, batch) ?? checkMoment(batch, grant);
  if (wrong !== null) return refused(wrong);
  // First of all that is told: whoever has no code learns nothing else.
  if (commitCode(id, body.code) !== grant.commitment) return wrongCode(batch, call, id, actor.id);
  const hindrance =
    checkWords(reason) ??
    judgeReason(granting.section, fields ?? {}) ??
    checkRoom(batch, granting.section, sessionIdOf(id));
  if (hindrance !== null) return refused(hindrance);
  const who = recordableText(actor.id);
  batch.state.breakglass.grantClosed(id);
  return openSession(batch, sessionIdOf(id), {
    scope: parseScope(formatScope(placeOf(grant), fields ?? {})),
    section: granting.section,
    actor: { id: who, role: 'grant' },
    data: {
      ...evidence,
      ...issuer,
      reason,
      grant: { id, digest: grantDigest(formatGrant(grant)), redeemed_by: who },
      ...callerData(batch, call),
    },
  });
}

/** Body of `grants.redeem`. `grant`, `act` and `signature` come with a grant that was issued elsewhere. */
interface RedeemBody {
  code: string;
  actor: { id: string };
  reason: string;
  fields?: Record<string, string>;
  grant?: string;
}

interface Redeemable {
  grant: Grant;
  granting: Granting;
  /** Whose signature carries it. */
  issuer: { principal: string; role: string; key: string };
  /** The act that issued it, where it is not on record yet; its nonce is spent with the entry that holds it. */
  evidence: JsonObject;
}

/** A grant that was issued here: it is what its entry says, and its issuer still counts. */
function onRecord(batch: Batch, id: string): Redeemable | Refusal {
  const first = entriesOf(batch.state, id)[0];
  const used = checkUnused(batch.state, id);
  if (used !== null) return used;
  if (first === undefined) throw new Error(`grants: ${id} stands without an entry`);
  const { grant, principal, role, key } = first.data as unknown as Redeemable['issuer'] & { grant: Grant };
  const granting = checkHere(batch, grant) ?? grantingPolicy(batch, grant);
  if (isRefusal(granting)) return granting;
  const { roster } = granting.policy;
  if (!counting(roster)({ principal, key }) || !granting.grants.roles.includes(role)) {
    return refuse(
      'grant.revoked',
      `${principal}, who issued grant ${id}, may not any more, or the key is revoked. Nothing was opened.`,
    );
  }
  return { grant, granting, issuer: { principal, role, key }, evidence: {} };
}

/** A grant that comes with its signature, issued where there is no site: headquarters. */
function presented(
  batch: Batch,
  call: EngineCall,
  id: string,
  { grant: text }: RedeemBody,
): Redeemable | Refusal {
  if (text === undefined) {
    return refuse(
      'grant.not_found',
      `No grant ${id} was issued at this site. Nothing was opened; one from headquarters is redeemed with its file, which holds the signature.`,
    );
  }
  const grant = readGrant(text);
  if (isRefusal(grant)) return grant;
  if (grant.id !== id)
    return refuse('grant.not_found', `The grant presented is ${grant.id}, not ${id}. Nothing was opened.`);
  const granting = checkHere(batch, grant) ?? grantingPolicy(batch, grant);
  if (isRefusal(granting)) return granting;
  const { grants, policy } = granting;
  const expected = expectedIssue(grant, text, granting);
  const counted = countSiteAct(batch, call.body, ['grant'], () => expected, policy.roster);
  if (isRefusal(counted)) return counted;
  const { issued_at } = counted.act;
  if (Date.parse(grant.expires_at) - Date.parse(issued_at) > durationMs(grants.max_validity))
    return tooLong(grants);
  const { principal, role, key } = counted.data as unknown as Redeemable['issuer'];
  const evidence = { ...counted.data, issued_grant: grant as unknown as JsonObject };
  return { grant, granting, issuer: { principal, role, key }, evidence };
}

/** `grants.revoke`: takes a grant that is out back, signed. */
export function revokeGrant(batch: Batch, call: EngineCall): AfterCommit {
  const id = call.args.id ?? '';
  const first = entriesOf(batch.state, id)[0];
  if (first === undefined || first.type !== 'grant.issued') return refused(noGrant(id));
  const { grant, grant_digest, role } = first.data as unknown as {
    grant: Grant;
    grant_digest: string;
    role: string;
  };
  const policy = policyOf(batch, grant);
  const section = policy?.compiled.bundle.breakglass;
  const expected: ExpectedAct = {
    subject: id,
    digests: { grant: grant_digest },
    answers: ['revoke'],
    roles: [...(section?.grants?.roles ?? [role]), ...(section?.review.roles ?? [])],
    reaches: grant,
    uncertain_time: 'accept',
  };
  const counted = countSiteAct(batch, call.body, ['grant'], () => expected, policy?.roster ?? null);
  if (isRefusal(counted)) return refused(counted);
  const used = checkUnused(batch.state, id);
  if (used !== null) return refused(used);
  const { index } = batch.record(id, 'grant.revoked', counted.actor, {
    ...counted.data,
    ...callerData(batch, call),
  });
  batch.state.breakglass.grantClosed(id);
  return (state) => reply(200, { ...grantView(state, id), ledger: ledgerOf(state, index) });
}

const LIST_LIMIT = 200;

/** `grants.list`: every grant that the ledger knows, by id (so by time): what it is for and what became of it. */
export function listGrants(state: EngineState, { args }: EngineCall): EngineReply {
  const limit = Math.min(Number(args.limit ?? LIST_LIMIT), LIST_LIMIT);
  const rows = state.projections.standingPage('grant', args.after ?? '', limit);
  const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
  return reply(200, { grants: rows.map(({ id }) => grantView(state, id)), next });
}

/** `grants.get`: one grant, with its exact digest for whoever signs about it. */
export function getGrant(state: EngineState, { args }: EngineCall): EngineReply {
  const id = args.id ?? '';
  return state.projections.standing('grant', id) === null
    ? problem(noGrant(id))
    : reply(200, grantView(state, id));
}

const STATE_OF = {
  'grant.issued': 'unused',
  'grant.revoked': 'revoked',
  'grant.expired': 'expired',
  'breakglass.activated': 'used',
} as const;

function grantView(state: EngineState, id: string): object {
  const row = state.projections.standing('grant', id);
  const bytes = row === null ? null : state.ledger.entry(row.last_idx);
  if (row === null || bytes === null) throw new Error(`grants: ${id} stands without an entry`);
  const newest = decodeEntry(bytes);
  const first = entriesOf(state, id)[0] ?? newest;
  const { principal, role, key } = first.data as unknown as Redeemable['issuer'];
  const { grant, issued_grant } = first.data as unknown as { grant: Grant; issued_grant?: Grant };
  const document = issued_grant ?? grant;
  const used = newest.type === 'breakglass.activated';
  return {
    id,
    state: STATE_OF[newest.type as keyof typeof STATE_OF],
    grant: document,
    grant_digest: grantDigest(formatGrant(document)),
    issued: { here: first.type === 'grant.issued', by: principal, role, key, at: issueTime(first) },
    closed_at: row.first_idx === row.last_idx && !used ? null : newest.at,
    session: used ? newest.stream : null,
  };
}

/** When it was signed, as its act says. */
function issueTime({ data, at }: Entry): string {
  const { act } = data as unknown as { act?: { issued_at: string } };
  return act?.issued_at ?? at;
}

/** A grant opens one session in all its life, so both share the unique part of their ids. */
function sessionIdOf(grantId: string): string {
  return `bg_${grantId.slice('grant_'.length)}`;
}

function readGrant(text: string): Grant | Refusal {
  try {
    return parseGrant(text);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse('breakglass.malformed', `${error.message} Nothing was done.`);
  }
}

/** A grant is for one site, and for one log of it: a ledger that was restored cannot know what was used in between. */
function checkHere(batch: Batch, { id, site, log }: Grant): Refusal | null {
  const { state } = batch;
  if (site !== state.site)
    return refuse('approval.wrong_site', `Grant ${id} is for site ${site}; this is ${state.site}.`);
  if (log === state.ledger.origin) return null;
  return refuse(
    'grant.revoked',
    `Grant ${id} belongs to the log ${log}; this site goes on as ${state.ledger.origin}, which cannot know whether it was used. Nothing was opened; have new ones issued.`,
  );
}

function policyOf(batch: Batch, { environment }: Grant): LoadedPolicy | null {
  return batch.state.policies.active(environment);
}

function grantingPolicy(batch: Batch, grant: Grant): Granting | Refusal {
  const policy = policyOf(batch, grant);
  if (policy === null)
    return refuse('policy.none', `No policy is in force for ${grant.environment}. Nothing was done.`);
  const section = judgePlace(policy.compiled.bundle, grant);
  if (isRefusal(section)) return section;
  const { grants } = section;
  if (grants !== undefined) return { policy, section, grants };
  return refuse('breakglass.not_in_policy', 'The policy in force has no sealed grants. Nothing was done.');
}

function expectedIssue(grant: Grant, text: string, { grants }: Granting): ExpectedAct {
  return {
    subject: grant.id,
    digests: { grant: grantDigest(text) },
    answers: ['issue'],
    roles: grants.roles,
    reaches: grant,
    uncertain_time: 'reject',
  };
}

function checkValidity(batch: Batch, grant: Grant, { grants }: Granting): Refusal | null {
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

function tooLong({ max_validity }: Granting['grants']): Refusal {
  return refuse(
    'grant.too_long',
    `The grant would be good for longer than the ${max_validity} that the policy allows. Nothing was done.`,
  );
}

function checkMoment(batch: Batch, { id, expires_at }: Grant): Refusal | null {
  if (batch.trust === 'uncertain') {
    return refuse(
      'approval.time_uncertain',
      `This site does not trust its clock at the moment, so it cannot tell whether grant ${id} is still good. Set the clock, then redeem it again; it is not used up.`,
    );
  }
  if (Date.parse(expires_at) > batch.now) return null;
  return refuse('grant.expired', `Grant ${id} expired at ${expires_at}. Nothing was opened.`);
}

function checkWords(reason: string): Refusal | null {
  if (recordableText(reason) === reason) return null;
  return refuse(
    'breakglass.reason',
    'The reason looks like it holds a secret. Nothing was opened; write it without.',
  );
}

function checkUnused(state: EngineState, id: string): Refusal | null {
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

/** Whoever tries codes is on record; a code of 150 bits is not guessed. */
function wrongCode(batch: Batch, call: EngineCall, id: string, who: string): AfterCommit {
  const refusal = refuse(
    'grant.wrong_code',
    `The code is not the one of grant ${id}. Nothing was opened, and the grant is not used up; compare it with the paper.`,
  );
  const actor = { id: recordableText(who), role: null };
  return recordRefusal(batch, call, refusal, { actor, data: { subject: id, principal: null, key: null } });
}

function noGrant(id: string): Refusal {
  return refuse('grant.not_found', `There is no grant ${id} at this site. Nothing was changed.`);
}

function entriesOf(state: EngineState, id: string): Entry[] {
  return state.ledger.stream(id).map(({ bytes }) => decodeEntry(bytes));
}

function ledgerOf(state: EngineState, index: number): object {
  return { record_id: index, proof: proofOf(state, index) };
}
