import { BoundaryError } from '../formats/boundary-error.ts';
import type { TimeTrust } from '../formats/entry.ts';
import { parsePublicKeyLine } from '../formats/sshsig.ts';
import type { Bundle, BundlePrincipal } from './bundle.ts';
import type { Decision } from './decision.ts';
import { lapseOf } from './peer.ts';
import type { Target } from './request.ts';
import { atOnce } from './steps.ts';

/** A principal as the roster of one bundle knows it, reached through one of its keys. */
export interface RosterMember {
  id: string;
  kind: BundlePrincipal['kind'];
  roles: readonly string[];
  status: BundlePrincipal['status'];
  scope: BundlePrincipal['scope'];
  key_active: boolean;
  /** Whether this key counts only with its PIN. */
  pin_required: boolean;
}

/** The people, agents and services of one bundle, indexed for the questions that the engine asks. */
export interface Roster {
  /** Whose key this is (`SHA256:…`), whatever its status; null when nobody's. */
  byKey(fingerprint: string): RosterMember | null;
  principal(id: string): BundlePrincipal | null;
  /** Whether anybody counts only until a time (`rosterAt`). */
  readonly has_expiries: boolean;
  /** True when `owner` is the declared owner of principal `id`. */
  owns(owner: string, id: string | null): boolean;
}

/** Indexes a checked bundle's principals. Throws `BoundaryError` on a key line that does not parse. */
export function rosterOf(bundle: Bundle): Roster {
  return atOnce(rosterSteps(bundle));
}

/** Keys that one step of `rosterSteps` looks at: about a millisecond. */
const KEYS_PER_STEP = 150;

/** `rosterOf` in steps, for who has others to serve in between. */
export function* rosterSteps(bundle: Bundle): Generator<void, Roster> {
  const keys = new Map<string, RosterMember>();
  for (const [id, principal] of Object.entries(bundle.principals)) {
    for (const key of principal.keys ?? []) {
      const { fingerprint } = parsePublicKeyLine(key.public_key);
      if (keys.has(fingerprint)) {
        throw new BoundaryError('bundle.defective', `Two principals share the key ${fingerprint}.`, {
          at: id,
        });
      }
      keys.set(fingerprint, {
        id,
        kind: principal.kind,
        roles: principal.roles,
        status: principal.status,
        scope: principal.scope,
        key_active: (key.status ?? 'active') === 'active',
        pin_required: key.require_pin ?? false,
      });
      if (keys.size % KEYS_PER_STEP === 0) yield;
    }
  }
  return indexed(bundle, keys);
}

function indexed(bundle: Bundle, keys: ReadonlyMap<string, RosterMember>): Roster {
  const principals = new Map(Object.entries(bundle.principals));
  return {
    has_expiries: Object.values(bundle.principals).some(({ expires_at }) => expires_at !== undefined),
    byKey: (fingerprint) => keys.get(fingerprint) ?? null,
    principal: (id) => principals.get(id) ?? null,
    owns: (owner, id) => id !== null && principals.get(id)?.owner === owner,
  };
}

/**
 * The roster as it counts at an instant: whoever was enrolled until before then stands in it as suspended. The same
 * roster where nobody has an end.
 */
export function rosterAt(roster: Roster, { now, trust }: { now: number; trust: TimeTrust }): Roster {
  if (!roster.has_expiries) return roster;
  const lapsed = (id: string): boolean => {
    const principal = roster.principal(id);
    return principal?.status === 'active' && lapseOf(principal, now, trust) !== null;
  };
  return {
    ...roster,
    byKey: (fingerprint) => {
      const member = roster.byKey(fingerprint);
      return member !== null && lapsed(member.id) ? { ...member, status: 'suspended' } : member;
    },
    principal: (id) => {
      const principal = roster.principal(id);
      return principal !== null && lapsed(id) ? { ...principal, status: 'suspended' } : principal;
    },
  };
}

/** What a scope may or may not reach. Null where there is no such thing; then only an open list reaches it. */
export interface ScopedThing {
  class: string | null;
  environment: string | null;
  target: Target | null;
}

/** Whether a principal's scope reaches this decision. An absent list means everywhere. */
export function withinScope(scope: BundlePrincipal['scope'], decision: Decision): boolean {
  const { class: actionClass, target } = decision.action;
  return inScope(scope, { class: actionClass, environment: decision.context.environment, target });
}

/** Whether a principal's scope reaches a class, environment and target. An absent list means everywhere. */
export function inScope(scope: BundlePrincipal['scope'], thing: ScopedThing): boolean {
  if (scope === undefined) return true;
  const { target } = thing;
  const reaches = (list: readonly string[] | undefined, value: string | null) =>
    list === undefined || list.length === 0 || (value !== null && list.includes(value));
  return (
    reaches(scope.classes, thing.class) &&
    reaches(scope.environments, thing.environment) &&
    reaches(scope.targets, target === null ? null : `${target.type}:${target.id}`)
  );
}
