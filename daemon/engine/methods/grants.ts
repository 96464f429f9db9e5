import { judgeReason } from '../../core/breakglass.ts';
import { counting } from '../../core/counting.ts';
import { durationMs } from '../../core/duration.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import type { ExpectedAct } from '../../core/site-act.ts';
import { formatScope, parseScope } from '../../formats/breakglass-scope.ts';
import { commitCode, formatGrant, type Grant, grantDigest, placeOf } from '../../formats/grant.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, reply } from '../reply.ts';
import { countSiteAct } from '../site-acts.ts';
import { checkRoom, openSession } from './breakglass.ts';
import { recordRefusal, refuseAct } from './breakglass-refusals.ts';
import {
  checkHere,
  checkMoment,
  checkUnused,
  checkValidity,
  checkWords,
  expectedIssue,
  type Granting,
  grantingPolicy,
  policyOf,
  readGrant,
  tooLong,
} from './grant-checks.ts';
import { entriesOf, grantView, noGrant } from './grant-views.ts';
import { refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

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

/** A grant opens one session in all its life, so both share the unique part of their ids. */
function sessionIdOf(grantId: string): string {
  return `bg_${grantId.slice('grant_'.length)}`;
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

function ledgerOf(state: EngineState, index: number): object {
  return { record_id: index, proof: proofOf(state, index) };
}
