import type { Bundle, BundlePrincipal } from '../../core/bundle.ts';
import { parsePublicKeyLine } from '../../formats/ssh-public-key.ts';
import { added, listed, removed, same } from './words.ts';

/** Who counts: principals, their roles, scope and keys. */
export function peopleChanges(before: Bundle, after: Bundle): string[] {
  const was = Object.keys(before.principals);
  const is = Object.keys(after.principals);
  return [
    ...removed(was, is).map((id) => gone(id, before.principals[id])),
    ...is.flatMap((id) => {
      const [old, principal] = [before.principals[id], after.principals[id]];
      if (principal === undefined) return [];
      return old === undefined ? [newcomer(id, principal)] : differences(id, old, principal);
    }),
  ];
}

function gone(id: string, principal: BundlePrincipal | undefined): string {
  const keys = [...activeKeys(principal)];
  const what =
    keys.length === 0 ? '' : ` and ${keys.length === 1 ? `the key ${keys[0]}` : `${keys.length} keys`}`;
  return `${id} is no longer in the roster: requests and approvals of ${id}${what} no longer count.`;
}

function newcomer(id: string, principal: BundlePrincipal): string {
  const keys = [...activeKeys(principal)];
  const status = principal.status === 'active' ? '' : `, ${principal.status}`;
  const roles = principal.roles.length === 0 ? 'without a role' : `as ${listed(principal.roles)}`;
  const signs = keys.length === 0 ? '' : `, signing with ${listed(keys)}`;
  return `${id} joins the roster (${principal.kind}${status}) ${roles}${signs}${within(principal)}.`;
}

function differences(id: string, was: BundlePrincipal, is: BundlePrincipal): string[] {
  const changes: string[] = [];
  const more = added(was.roles, is.roles);
  const fewer = removed(was.roles, is.roles);
  if (was.kind !== is.kind) changes.push(`${id} is now of kind ${is.kind} (was ${was.kind}).`);
  if (was.status !== is.status) changes.push(statusChange(id, is.status));
  if (more.length > 0) changes.push(`${id} now holds ${listed(more)}.`);
  if (fewer.length > 0) changes.push(`${id} no longer holds ${listed(fewer)}.`);
  if (!same(was.scope, is.scope))
    changes.push(`${id} now counts${within(is) || ' everywhere'} (was:${within(was) || ' everywhere'}).`);
  if (was.owner !== is.owner) {
    changes.push(
      is.owner === undefined ? `${id} has no owner any more.` : `${id} is now owned by ${is.owner}.`,
    );
  }
  if (was.uid !== is.uid)
    changes.push(`${id} is now ${is.uid === undefined ? 'no local user' : `the local user ${is.uid}`}.`);
  if (was.spiffe_id !== is.spiffe_id) {
    changes.push(`${id} is now ${is.spiffe_id ?? 'not known by a SPIFFE id'}.`);
  }
  return [...changes, ...standingChanges(id, was, is), ...keyChanges(id, was, is)];
}

/** Until when it counts, what it can do, and what its callers may. */
function standingChanges(id: string, was: BundlePrincipal, is: BundlePrincipal): string[] {
  const changes: string[] = [];
  if (was.expires_at !== is.expires_at)
    changes.push(
      is.expires_at === undefined ? `${id} counts without an end.` : `${id} counts until ${is.expires_at}.`,
    );
  if (was.risk_tier !== is.risk_tier)
    changes.push(
      `${id} is now ${is.risk_tier === undefined ? 'of no risk tier' : `of risk tier ${is.risk_tier}`}.`,
    );
  const lists: [string, string, readonly string[] | undefined, readonly string[] | undefined][] = [
    ['is now able to', 'is no longer able to', was.capabilities, is.capabilities],
    ['may now ask in the name of', 'may no longer ask in the name of', was.may_assert, is.may_assert],
    ['may now redeem as', 'may no longer redeem as', was.audiences, is.audiences],
  ];
  for (const [gain, loss, before = [], after = []] of lists) {
    const [more, fewer] = [added(before, after), removed(before, after)];
    if (more.length > 0) changes.push(`${id} ${gain} ${listed(more)}.`);
    if (fewer.length > 0) changes.push(`${id} ${loss} ${listed(fewer)}.`);
  }
  for (const certificate of added(was.revoked_certificates ?? [], is.revoked_certificates ?? []))
    changes.push(`${id}'s certificate ${certificate} no longer counts.`);
  for (const certificate of removed(was.revoked_certificates ?? [], is.revoked_certificates ?? []))
    changes.push(`${id}'s certificate ${certificate} is not revoked any more.`);
  return changes;
}

function statusChange(id: string, status: BundlePrincipal['status']): string {
  if (status === 'active') return `${id} is active again.`;
  return `${id} is ${status}: requests and approvals of ${id} no longer count.`;
}

function keyChanges(id: string, was: BundlePrincipal, is: BundlePrincipal): string[] {
  const [old, now] = [[...activeKeys(was)], [...activeKeys(is)]];
  return [
    ...removed(old, now).map((key) => `${id}'s key ${key} no longer counts.`),
    ...added(old, now).map((key) => `${id}'s key ${key} now counts.`),
  ];
}

/** Fingerprints (`SHA256:…`) of the keys that count. */
function activeKeys(principal: BundlePrincipal | undefined): Set<string> {
  const keys = (principal?.keys ?? []).filter(({ status }) => (status ?? 'active') === 'active');
  return new Set(keys.map(({ public_key }) => parsePublicKeyLine(public_key).fingerprint));
}

/** ` for restart_service in production on service:relay-2`; empty when it is everywhere. */
function within({ scope }: BundlePrincipal): string {
  const part = (word: string, list: readonly string[] | undefined) =>
    list === undefined || list.length === 0 ? '' : ` ${word} ${listed(list)}`;
  return `${part('for', scope?.classes)}${part('in', scope?.environments)}${part('on', scope?.targets)}`;
}
