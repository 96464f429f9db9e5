import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { JsonObject } from '../formats/json.ts';
import { anyOf } from './authority.ts';
import type { Bundle } from './bundle.ts';
import { durationMs } from './duration.ts';
import { type Refusal, refuse } from './refusal.ts';
import type { Roster, RosterMember } from './roster.ts';

/*
 * Updates that wait (docs/decisions/0018): for signatures of people at the site (`activation.hold` of a bundle), or for
 * their time (`effective_at` of the site's target).
 */

/** Signatures that somebody's rules demand before an update counts. */
export interface HoldDemand {
  /** The environment whose rules demand it, and whose roster in force says who holds the roles. */
  environment: string;
  /** Whether the rules in force demand it, or those that the update brings. */
  rules: 'in_force' | 'new';
  roles: string[];
  min_signatures: number;
}

/** A signature that was given. */
export interface HoldVote {
  principal: string;
  role: string;
  /** Fingerprint. */
  key: string;
}

/** What the rules say about one environment before and after an update; null where there is nothing, or nothing legible. */
export interface HoldPlace {
  environment: string;
  before: { digest: string; bundle: Bundle | null } | null;
  after: { digest: string; bundle: Bundle } | null;
}

/**
 * What must be signed at the site before an update counts, and the shortest time that any of the rules gives people for
 * it, in milliseconds. The rules in force and the new ones are both heard, so no update can free itself; whoever holds
 * the roles is for the roster in force to say. A new environment is held by all rules in force: who asks chooses the
 * environment. Where no rules are in force at all nobody could sign, so the first policy is never held.
 */
export function holdDemands(places: readonly HoldPlace[]): {
  demands: HoldDemand[];
  max_wait_ms: number | null;
} {
  const inForce = places.flatMap(({ environment, before }) =>
    rulesOf(environment, 'in_force', before?.bundle),
  );
  if (!places.some(({ before }) => before?.bundle != null)) return { demands: [], max_wait_ms: null };
  const heard = places.flatMap(({ environment, before, after }) => {
    if (before?.digest === after?.digest) return [];
    const own = before === null ? inForce : inForce.filter((rule) => rule.demand.environment === environment);
    return [...own, ...rulesOf(environment, 'new', after?.bundle)];
  });
  // The same demand by old and new rules is one; that of the rules in force comes first.
  const demands = new Map<string, HoldDemand>();
  for (const { demand } of heard) {
    const { environment, roles, min_signatures } = demand;
    const key = canonicalText([environment, [...roles].sort(), min_signatures]);
    if (!demands.has(key)) demands.set(key, demand);
  }
  const waits = heard.flatMap(({ max_wait }) => (max_wait === null ? [] : [durationMs(max_wait)]));
  return { demands: [...demands.values()], max_wait_ms: waits.length === 0 ? null : Math.min(...waits) };
}

function rulesOf(
  environment: string,
  rules: HoldDemand['rules'],
  bundle: Bundle | null | undefined,
): { demand: HoldDemand; max_wait: string | null }[] {
  const hold = bundle?.activation?.hold;
  if (hold === undefined) return [];
  const { roles, min_signatures, max_wait = null } = hold;
  return [{ demand: { environment, rules, roles, min_signatures }, max_wait }];
}

/** What a signature on a held update binds: the site's target, which pins every bundle by digest. */
export function siteTargetDigest(target: object): string {
  return sha256Hex(canonicalText(target as JsonObject));
}

/** The rosters by which votes on an update are judged. */
export interface HoldRosters {
  /** That in force for an environment; null when none is. */
  inForce: (environment: string) => Roster | null;
  /** Those that the update would bring. */
  coming: readonly Roster[];
}

/** Signatures that are still missing, demand by demand; empty when the update is released. */
export function missingVotes(
  demands: readonly HoldDemand[],
  votes: readonly HoldVote[],
  rosters: HoldRosters,
): { demand: HoldDemand; missing: number }[] {
  return demands.flatMap((demand) => {
    const people = new Set(
      votes.filter((vote) => counts(vote, demand, rosters)).map((vote) => vote.principal),
    );
    const missing = demand.min_signatures - people.size;
    return missing > 0 ? [{ demand, missing }] : [];
  });
}

/**
 * `2 signatures by L4 or L5 (production and staging, rules in force)`: what is missing, in words. One person's signature
 * counts for every demand that it fits, so demands that differ in their environment only are one phrase.
 */
export function missingWords(missing: readonly { demand: HoldDemand; missing: number }[]): string[] {
  const phrases = new Map<string, { head: string; environments: string[]; whose: string }>();
  for (const { demand, missing: number } of missing) {
    const { environment, rules, roles } = demand;
    const head = `${number} signature${number === 1 ? '' : 's'} by ${anyOf(roles)}`;
    const whose = rules === 'in_force' ? 'rules in force' : 'rules of the update';
    const known = phrases.get(`${head} ${whose}`);
    if (known === undefined) phrases.set(`${head} ${whose}`, { head, environments: [environment], whose });
    else known.environments.push(environment);
  }
  return [...phrases.values()].map(
    ({ head, environments, whose }) => `${head} (${environments.join(', ')}: ${whose})`,
  );
}

/** Whether a vote fills a seat of a demand under the rosters as they are now: a revocation acts at once. */
function counts(vote: HoldVote, demand: HoldDemand, rosters: HoldRosters): boolean {
  const member = rosters.inForce(demand.environment)?.byKey(vote.key) ?? null;
  return (
    member !== null &&
    isActive(member) &&
    member.id === vote.principal &&
    demand.roles.includes(vote.role) &&
    member.roles.includes(vote.role) &&
    !isRevokedIn(rosters.coming, vote.key)
  );
}

function isActive({ key_active, status }: RosterMember): boolean {
  return key_active && status === 'active';
}

function isRevokedIn(coming: readonly Roster[], key: string): boolean {
  return coming.some((roster) => {
    const member = roster.byKey(key);
    return member !== null && !isActive(member);
  });
}

/**
 * One roster for all that a held update asks: a key counts where every roster that knows it agrees about whose it is and
 * that it is active. Which roles count for which demand is looked at demand by demand.
 */
export function jointRoster(demands: readonly HoldDemand[], { inForce }: HoldRosters): Roster | null {
  const names = new Set(demands.map(({ environment }) => environment));
  const rosters = [...names].flatMap((name) => inForce(name) ?? []);
  const [first] = rosters;
  if (first === undefined) return null;
  return {
    ...first,
    byKey: (fingerprint) => {
      const known = rosters.flatMap((roster) => roster.byKey(fingerprint) ?? []);
      const [member] = known;
      if (member === undefined) return null;
      const agreed = known.every((other) => other.id === member.id && isActive(other));
      return {
        ...member,
        roles: [...new Set(known.flatMap(({ roles }) => roles))],
        key_active: member.key_active && agreed,
      };
    },
  };
}

/**
 * Whether a person whose key and role are right may still not vote on this update: whoever loses their key by it can
 * neither wave it through nor keep it out, and each person is counted once.
 */
export function judgeVote(
  vote: HoldVote,
  answer: string,
  { demands, votes }: { demands: readonly HoldDemand[]; votes: readonly HoldVote[] },
  rosters: HoldRosters,
): Refusal | null {
  if (isRevokedIn(rosters.coming, vote.key)) {
    return refuse(
      'approval.revoked_key',
      `The update revokes or suspends key ${vote.key} of ${vote.principal}, so it cannot speak for or against it. Somebody else must.`,
    );
  }
  if (answer === 'reject' && !rosters.coming.every((roster) => roster.byKey(vote.key) !== null)) {
    return refuse(
      'approval.revoked_key',
      `The update takes key ${vote.key} of ${vote.principal} out of the roster, so it cannot be used to keep the update out. Somebody else must reject it.`,
    );
  }
  const asked = demands.filter((demand) => counts(vote, demand, rosters));
  if (asked.length === 0) {
    return refuse(
      'approval.role_not_required',
      `No rule that holds this update asks for ${vote.role} of ${vote.principal}. Nothing was changed.`,
    );
  }
  if (answer === 'reject') return null;
  const already = (demand: HoldDemand) =>
    votes.some((other) => other.principal === vote.principal && counts(other, demand, rosters));
  if (!asked.every(already)) return null;
  return refuse(
    'approval.duplicate_person',
    `${vote.principal} has signed for this update already; each person counts once.`,
  );
}
