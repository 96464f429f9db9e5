import type { TimeTrust } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import { assignVotes, authoritySatisfied } from './authority.ts';
import { counting } from './counting.ts';
import type { Decision } from './decision.ts';
import { exceptedGate, openExceptions } from './exception.ts';
import type { DecisionRecord } from './fold.ts';
import { type Refusal, refuse } from './refusal.ts';
import { type Roster, type RosterMember, withinScope } from './roster.ts';

/** Clocks of signer and site may differ by this much before an act counts as coming from the future. */
const FUTURE_TOLERANCE_MS = 5 * 60_000;

/** Everything the rules look at when a signed act about a decision arrives. All of it is input; nothing is fetched. */
export interface ActContext {
  site: string;
  record: DecisionRecord;
  act: SignedAct;
  /** Fingerprint of the key whose signature over the act was verified. */
  key: string;
  /** Roster of the bundle that the decision is pinned to. */
  pinned: Roster;
  /** Roster of the policy in force now; null when there is none. Its revocations act at once. */
  current: Roster | null;
  nonce_used: boolean;
  now_ms: number;
  time_trust: TimeTrust;
  /** Whether policy lets one person grant an exception and approve the same decision; absent: it does not. */
  exception_and_vote?: 'distinct' | 'allow';
}

/** An act that counts: who gave it, in which role. */
export interface AcceptedAct {
  principal: string;
  role: string;
  /** Id of the gate that it makes an exception for. */
  gate?: string;
  /** What is recorded of the ID token beside it; absent when there was none. */
  id_token?: JsonObject;
}

/**
 * Judges a signature-checked act about a decision: right thing, right person, right time. The order is from "does it
 * speak of this decision at all" to "may this person say it", so that the code a signer gets names the first real cause.
 */
export function judgeAct(context: ActContext): AcceptedAct | Refusal {
  const member = judgeSigner(context);
  if ('refused' in member) return member;
  return checkApprover(context, member);
}

/**
 * The same for an act after the fact (review, reconciliation): any person other than the requester, in a role that they
 * hold. Authority is not at stake any more, so no group has to ask for the role.
 */
export function judgeReviewer(context: ActContext): AcceptedAct | Refusal {
  const member = judgeSigner(context);
  if ('refused' in member) return member;
  return checkPerson(context, member) ?? { principal: member.id, role: context.act.role };
}

function judgeSigner(context: ActContext): RosterMember | Refusal {
  const wrong = checkSubject(context) ?? checkTime(context);
  if (wrong !== null) return wrong;
  if (context.nonce_used) {
    return refuse(
      'approval.nonce_used',
      'This signed act was submitted before; each one counts once. Sign a new one with a fresh nonce.',
    );
  }
  return checkKey(context);
}

function checkSubject({ act, record, site }: ActContext): Refusal | null {
  const { decision } = record;
  if (act.site !== site) {
    return refuse('approval.wrong_site', `The act was signed for site ${act.site}; this is ${site}.`);
  }
  if (act.subject !== decision.decision_id) {
    return refuse(
      'approval.wrong_subject',
      `The act speaks of ${act.subject}, not of ${decision.decision_id}. Submit it there.`,
    );
  }
  if (
    act.subject_digest.action !== decision.action_digest ||
    act.subject_digest.policy !== decision.policy_digest
  ) {
    return refuse(
      'approval.wrong_digest',
      'The act was signed over another action or another policy than this decision holds. Show the decision again and sign what it says now.',
    );
  }
  return null;
}

/** Whether an act is of its time: neither over nor yet to come, by a clock that can be believed. */
export function checkTime({
  act,
  now_ms,
  time_trust,
}: Pick<ActContext, 'act' | 'now_ms' | 'time_trust'>): Refusal | null {
  if (time_trust === 'uncertain') {
    return refuse(
      'approval.time_uncertain',
      'This site does not trust its clock at the moment, so it cannot tell whether the act is still valid. Set the clock, then submit it again.',
    );
  }
  const issued = Date.parse(act.issued_at);
  if (issued > now_ms + FUTURE_TOLERANCE_MS) {
    return refuse(
      'approval.not_yet_valid',
      `The act says it was signed at ${act.issued_at}, which is in the future here. Compare the clocks.`,
    );
  }
  if (issued + act.ttl_seconds * 1000 <= now_ms) {
    return refuse(
      'approval.expired',
      `The act was signed at ${act.issued_at} and was valid for ${act.ttl_seconds} s. Sign again.`,
    );
  }
  return null;
}

function checkKey({ key, pinned, current }: ActContext): RosterMember | Refusal {
  if (current === null) {
    return refuse(
      'policy.none',
      'No policy is in force for this environment any more, so nobody can tell whose keys still count.',
    );
  }
  const member = pinned.byKey(key);
  if (member === null) {
    return refuse(
      'approval.unknown_key',
      `Key ${key} belongs to nobody in the policy that this decision was evaluated under.`,
    );
  }
  const now = current.byKey(key);
  const gone = (who: RosterMember | null) => who === null || !who.key_active || who.status !== 'active';
  if (gone(member) || gone(now) || now?.id !== member.id) {
    return refuse(
      'approval.revoked_key',
      `Key ${key} of ${member.id} is suspended or revoked; its signature does not count.`,
    );
  }
  return member;
}

function checkPerson({ act, record, pinned, current }: ActContext, member: RosterMember): Refusal | null {
  const { decision } = record;
  if (member.kind !== 'human') {
    return refuse('approval.role_not_held', `${member.id} is not a person; only people approve.`);
  }
  const requester = decision.context.actor.id;
  // Whoever owned it when it asked, or owns it now: an update in between must not make an approver of either.
  const owns = [pinned, current].some((roster) => roster?.owns(member.id, requester) === true);
  if (member.id === requester || owns) {
    return refuse(
      'approval.self',
      `${member.id} asked for this action (or owns the agent that did) and cannot approve it. Somebody else must.`,
    );
  }
  if (!member.roles.includes(act.role)) {
    return refuse('approval.role_not_held', `${member.id} does not hold the role ${act.role}.`);
  }
  if (!withinScope(member.scope, decision)) {
    return refuse(
      'approval.out_of_scope',
      `${member.id}'s roles do not reach this class, environment or target.`,
    );
  }
  return null;
}

function checkApprover(context: ActContext, member: RosterMember): AcceptedAct | Refusal {
  const wrong = checkPerson(context, member);
  if (wrong !== null) return wrong;
  const { act } = context;
  const { decision } = context.record;
  const answers = act.kind === 'exception' ? ['approve'] : ['approve', 'reject'];
  if (!answers.includes(act.answer)) {
    return refuse(
      'approval.malformed',
      `An act of kind ${act.kind} answers ${answers.join(' or ')}; this one does neither, so it does not count. To say no, sign an approval that answers "reject".`,
    );
  }
  if (act.kind === 'exception') return checkException(context, member);
  const demanded = groupRoles(decision);
  if (act.answer === 'approve' && !demanded.includes(act.role)) {
    return refuse(
      'approval.role_not_required',
      `This decision does not wait for ${act.role}; it waits for ${demanded.join(', ') || 'nobody'}.`,
    );
  }
  const counts = counting(context.current, context.now_ms);
  const votes = decision.authority.received.filter(counts);
  if (votes.some((vote) => vote.principal === member.id)) {
    return refuse('approval.duplicate_person', `${member.id} has already answered; each person counts once.`);
  }
  const excepted = decision.policy.exceptions.some((one) => one.principal === member.id && counts(one));
  if (act.answer === 'approve' && excepted && context.exception_and_vote !== 'allow') {
    return refuse(
      'approval.duplicate_person',
      `${member.id} granted an exception for this decision and cannot approve it too. Somebody else must.`,
    );
  }
  return { principal: member.id, role: act.role };
}

function checkException(context: ActContext, member: RosterMember): AcceptedAct | Refusal {
  const { act, current, now_ms, exception_and_vote } = context;
  const { decision } = context.record;
  const counts = counting(current, now_ms);
  const gate = exceptedGate(act, openExceptions(decision, counts));
  if ('refused' in gate) return gate;
  const voted = decision.authority.received.some(
    (vote) => vote.principal === member.id && vote.answer === 'approve' && counts(vote),
  );
  if (voted && exception_and_vote !== 'allow') {
    return refuse(
      'approval.duplicate_person',
      `${member.id} approved this decision and cannot grant it an exception too. Somebody else must.`,
    );
  }
  return { principal: member.id, role: act.role, gate: gate.id };
}

function groupRoles(decision: Decision): string[] {
  return decision.authority.required.flatMap((group) => group.roles);
}

/** Name of the group that this person's vote fills, given the votes before it; `-` when all its seats are taken. */
export function groupOf(decision: Decision, accepted: AcceptedAct, current: Roster | null): string {
  const votes = [...approvals(decision, current), accepted];
  const seat = assignVotes(decision.authority.required, votes).at(-1) ?? null;
  return seat === null ? '-' : (decision.authority.required[seat]?.group ?? '-');
}

/**
 * True when the decision has all it needs under the roster in force, once `accepted` counts too. `now_ms`: without it no
 * exception is over.
 */
export function completesAuthority(
  decision: Decision,
  accepted: { vote?: AcceptedAct; gate?: string },
  current: Roster | null,
  now_ms?: number,
): boolean {
  const votes = approvals(decision, current);
  const all = accepted.vote === undefined ? votes : [...votes, accepted.vote];
  const open = openExceptions(decision, counting(current, now_ms)).filter(
    (gate) => gate.id !== accepted.gate,
  );
  return open.length === 0 && authoritySatisfied(decision.authority.required, all);
}

function approvals({ authority }: Decision, current: Roster | null): AcceptedAct[] {
  return authority.received.filter((vote) => vote.answer === 'approve').filter(counting(current));
}
