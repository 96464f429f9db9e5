import type { Bundle, BundlePrincipal } from '../../core/bundle.ts';
import { parsePublicKeyLine } from '../../formats/ssh-public-key.ts';
import { added, listed, removed } from './words.ts';

/** What signatures must show to count. */
export function approvalChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before.approvals?.require_pin_for ?? [], after.approvals?.require_pin_for ?? []];
  const [more, fewer] = [added(was, is), removed(was, is)];
  return [
    ...exceptionChanges(before, after),
    ...(more.length === 0
      ? []
      : [`Signatures as ${listed(more, 'or')} now count only by a security key with its PIN.`]),
    ...(fewer.length === 0 ? [] : [`Signatures as ${listed(fewer, 'or')} now count without a PIN.`]),
    ...Object.entries(after.principals).flatMap(([id, principal]) =>
      pinChanges(id, before.principals[id], principal),
    ),
  ];
}

function exceptionChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before, after].map(({ approvals }) => approvals?.exception_and_vote ?? 'distinct');
  if (was === is) return [];
  return [
    is === 'allow'
      ? 'Whoever grants an exception may now approve the same decision too.'
      : 'Whoever grants an exception may no longer approve the same decision.',
  ];
}

function pinChanges(id: string, was: BundlePrincipal | undefined, is: BundlePrincipal): string[] {
  const [old, now] = [pinKeys(was), pinKeys(is)];
  return [
    ...added(old, now).map((key) => `${id}'s key ${key} counts only with its PIN.`),
    ...removed(old, now)
      .filter((key) => keysOf(is).some(({ fingerprint }) => fingerprint === key))
      .map((key) => `${id}'s key ${key} now counts without its PIN.`),
  ];
}

function pinKeys(principal: BundlePrincipal | undefined): string[] {
  return keysOf(principal)
    .filter(({ pin }) => pin)
    .map(({ fingerprint }) => fingerprint);
}

function keysOf(principal: BundlePrincipal | undefined): { fingerprint: string; pin: boolean }[] {
  return (principal?.keys ?? []).map(({ public_key, require_pin }) => ({
    fingerprint: parsePublicKeyLine(public_key).fingerprint,
    pin: require_pin === true,
  }));
}
