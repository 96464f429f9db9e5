import type { TimeTrust } from '../formats/entry.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import { type AcceptedAct, checkTime } from './approve.ts';
import { type Refusal, refuse } from './refusal.ts';
import { inScope, type Roster, type RosterMember, type ScopedThing } from './roster.ts';

/** Everything the rules look at when a signed act arrives that is not about a decision. All of it is input. */
export interface SiteActContext {
  site: string;
  act: SignedAct;
  /** Fingerprint of the key whose signature over the act was verified. */
  key: string;
  /** Roster of the policy in force; null when there is none. */
  roster: Roster | null;
  nonce_used: boolean;
  now_ms: number;
  time_trust: TimeTrust;
  expected: ExpectedAct;
}

/** What an act must say to count, and who may say it. */
export interface ExpectedAct {
  /** Id of what it is about. */
  subject: string;
  /** Exactly these digests, so that what was shown to the signer is what takes effect. */
  digests: Readonly<Record<string, string>>;
  answers: readonly string[];
  /** Roles that policy names for it; none means that nobody may. */
  roles: readonly string[];
  /** What the signer's scope must reach; null when the act is about the site as a whole. */
  reaches: ScopedThing | null;
  /**
   * What a clock that nobody believes does to it. `reject`: the act waits for the time. `accept`: the act counts without
   * a look at its times, once by its nonce; only for what narrows. `ignore`: its times are never looked at, because they
   * are what it states.
   */
  uncertain_time: 'reject' | 'accept' | 'ignore';
}

/**
 * Judges a signature-checked act about the site itself (break-glass, resume, time, hold, grant, suspend): right thing,
 * right time, right person, in that order, so that the code a signer gets names the first real cause.
 */
export function judgeSiteAct(context: SiteActContext): AcceptedAct | Refusal {
  const wrong = checkSubject(context) ?? checkMoment(context);
  if (wrong !== null) return wrong;
  const member = findSigner(context);
  if ('refused' in member) return member;
  return checkAuthority(context, member) ?? { principal: member.id, role: context.act.role };
}

function checkSubject({ act, site, expected }: SiteActContext): Refusal | null {
  if (act.site !== site) {
    return refuse('approval.wrong_site', `The act was signed for site ${act.site}; this is ${site}.`);
  }
  if (act.subject !== expected.subject) {
    return refuse(
      'approval.wrong_subject',
      `The act speaks of ${act.subject}, not of ${expected.subject}. Nothing was changed; sign one about ${expected.subject}.`,
    );
  }
  if (!sameDigests(act.subject_digest, expected.digests)) {
    return refuse(
      'approval.wrong_digest',
      `The act was signed over something other than what ${expected.subject} is now. Show it again and sign what it says now.`,
    );
  }
  if (!expected.answers.includes(act.answer)) {
    return refuse(
      'approval.malformed',
      `An act of kind ${act.kind} answers ${expected.answers.join(' or ')} here; this one says ${act.answer}, so it does not count.`,
    );
  }
  return null;
}

function sameDigests(given: Record<string, string>, wanted: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(wanted);
  return Object.keys(given).length === names.length && names.every((name) => given[name] === wanted[name]);
}

function checkMoment(context: SiteActContext): Refusal | null {
  if (context.nonce_used) {
    return refuse(
      'approval.nonce_used',
      'This signed act was submitted before; each one counts once. Sign a new one with a fresh nonce.',
    );
  }
  const { uncertain_time } = context.expected;
  if (uncertain_time === 'ignore') return null;
  if (context.time_trust === 'uncertain' && uncertain_time === 'accept') return null;
  return checkTime(context);
}

function findSigner({ roster, key }: SiteActContext): RosterMember | Refusal {
  if (roster === null) {
    return refuse('policy.none', 'No policy is in force, so nobody can tell whose keys count.');
  }
  const member = roster.byKey(key);
  if (member === null) {
    return refuse('approval.unknown_key', `Key ${key} belongs to nobody in the policy in force.`);
  }
  if (!member.key_active || member.status !== 'active') {
    return refuse(
      'approval.revoked_key',
      `Key ${key} of ${member.id} is suspended or revoked; its signature does not count.`,
    );
  }
  return member;
}

function checkAuthority({ act, expected }: SiteActContext, member: RosterMember): Refusal | null {
  if (member.kind !== 'human') {
    return refuse('approval.role_not_held', `${member.id} is not a person; only people sign acts.`);
  }
  if (!member.roles.includes(act.role)) {
    return refuse('approval.role_not_held', `${member.id} does not hold the role ${act.role}.`);
  }
  if (!expected.roles.includes(act.role)) {
    return refuse(
      'approval.role_not_required',
      `The role ${act.role} may not do this. The policy in force names ${expected.roles.join(', ') || 'nobody'}.`,
    );
  }
  if (expected.reaches !== null && !inScope(member.scope, expected.reaches)) {
    return refuse(
      'approval.out_of_scope',
      `${member.id}'s roles do not reach this class, environment or target.`,
    );
  }
  return null;
}
