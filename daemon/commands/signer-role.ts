import type { ApiClient, DecisionReply } from '../api/client.ts';
import { ApiProblem } from '../api/client.ts';
import { anyOf, assignVotes } from '../core/authority.ts';
import type { Decision } from '../core/decision.ts';
import { openExceptions } from '../core/exception.ts';
import { REFUSALS } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parsePublicKeyLine } from '../formats/sshsig.ts';
import { type PolicyEnvironment, principalsOf } from './principals.ts';

/** Who is about to sign, as far as this machine can tell; the engine decides whether it counts. */
export interface Signer {
  principal: string | null;
  role: string;
  fingerprint: string | null;
}

interface Wanted {
  kind: string;
  role: string | undefined;
}

/** Whose key it is; null when the policy names nobody, `untold` when key or policy cannot be seen from here. */
export type KeyOwner = { id: string; roles: readonly string[] } | null | 'untold';

/**
 * The person behind a key, and the role to sign in: `--role`, else the one role that the decision still asks for and
 * that the key's owner holds. Throws BoundaryError `role.none` or `role.several`, naming the choices.
 */
export async function signerOf(
  client: ApiClient,
  decision: DecisionReply,
  fingerprint: string | null,
  wanted: Wanted,
): Promise<Signer> {
  const owner = await ownerOf(client, decision.context.environment, fingerprint);
  return chooseSigner(decision, fingerprint, wanted, owner);
}

/** The same when it is known whose key it is. */
export function chooseSigner(
  decision: Decision,
  fingerprint: string | null,
  wanted: Wanted,
  owner: KeyOwner,
): Signer {
  const principal = owner === 'untold' ? null : (owner?.id ?? null);
  if (wanted.role !== undefined) return { principal, role: wanted.role, fingerprint };
  if (owner === null) throw noOwner(fingerprint);
  if (wanted.kind === 'approval') assertNotAnswered(decision, principal);
  const held = owner === 'untold' ? null : owner.roles;
  const asked = askedRoles(decision, wanted.kind);
  const choices = choicesOf(asked, held);
  // A review is recorded under a role, but no route demands a certain one: the first that its owner holds will do.
  const role = asked === null ? choices[0] : choices.length === 1 ? choices[0] : undefined;
  if (role !== undefined) return { principal, role, fingerprint };
  if (choices.length > 0) throw severalRoles(choices);
  const couldExcept =
    wanted.kind === 'approval' && (askedRoles(decision, 'exception') ?? []).some((r) => held?.includes(r));
  throw noRole(asked, held, principal, { exception: wanted.kind === 'exception', couldExcept });
}

/** What the engine would say to a second answer, before anybody is asked to sign it. */
function assertNotAnswered({ authority }: Decision, principal: string | null): void {
  const before = authority.received.find((vote) => vote.principal === principal && vote.counts !== false);
  if (before === undefined) return;
  throw new ApiProblem(REFUSALS['approval.duplicate_person'], {
    code: 'approval.duplicate_person',
    detail: `${before.principal} has already answered (${before.answer}, as ${before.role}); each person counts once. Nothing was signed; somebody else must sign what is missing.`,
  });
}

function choicesOf(asked: readonly string[] | null, held: readonly string[] | null): readonly string[] {
  if (asked === null) return held ?? [];
  return held === null ? asked : asked.filter((role) => held.includes(role));
}

/** Roles that the decision waits for in acts of this kind; null when any will do. */
export function askedRoles(decision: Decision, kind: string): string[] | null {
  if (kind === 'exception')
    return unique(
      openExceptions(decision, ({ counts }) => counts !== false).flatMap((gate) => gate.exception_role ?? []),
    );
  if (kind !== 'approval') return null;
  const { required, received } = decision.authority;
  const roles = unique(required.flatMap((group) => group.roles));
  const votes = received.filter(({ answer }) => answer === 'approve');
  const seated = (extra: { principal: string; role: string }[]): number =>
    assignVotes(required, [...votes, ...extra]).filter((group) => group !== null).length;
  const before = seated([]);
  const missing = roles.filter((role) => seated([{ principal: '', role }]) > before);
  // Where all seats are taken another vote fills none, and yet a "no" still counts.
  return missing.length > 0 ? missing : roles;
}

/** Whose key a fingerprint names, by the policy in force in an environment. */
export async function ownerOf(
  client: ApiClient,
  environment: string,
  fingerprint: string | null,
): Promise<KeyOwner> {
  if (fingerprint === null) return 'untold';
  const environments = await readEnvironments(client);
  if (environments === null) return 'untold';
  const known = principalsOf(environments.filter((one) => one.environment === environment));
  const owner = known.find(({ principal }) =>
    (principal.keys ?? []).some((key) => isKey(key.public_key, fingerprint)),
  );
  return owner === undefined ? null : { id: owner.id, roles: owner.principal.roles };
}

/** The policy in force, or null where the socket does not give it out. */
export async function readEnvironments(client: ApiClient): Promise<PolicyEnvironment[] | null> {
  try {
    return (await client.policy()).environments as unknown as PolicyEnvironment[];
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 404) return null;
    throw error;
  }
}

function isKey(line: string, fingerprint: string): boolean {
  return parsePublicKeyLine(line).fingerprint === fingerprint;
}

function unique(roles: string[]): string[] {
  return [...new Set(roles)];
}

function noOwner(fingerprint: string | null): BoundaryError {
  return new BoundaryError(
    'role.none',
    `The policy in force knows no owner of this key (${fingerprint ?? 'no fingerprint'}), so its signature would not count; nothing was signed. Use the key that is enrolled (holdfast principals list), or name a role with --role to sign all the same.`,
  );
}

function noRole(
  asked: readonly string[] | null,
  held: readonly string[] | null,
  principal: string | null,
  { exception, couldExcept }: { exception: boolean; couldExcept: boolean },
): BoundaryError {
  const has = held === null ? '' : `${principal} holds ${held.join(', ') || 'no role'}. `;
  if (exception && asked?.length === 0) {
    return new BoundaryError(
      'role.none',
      `${has}The decision waits for no exception, so nothing was signed. Leave --exception out to approve it.`,
    );
  }
  const waits = asked === null ? '' : `The decision waits for ${anyOf(asked) || 'nobody'}. `;
  const instead = couldExcept
    ? 'It also waits for an exception that this key may grant: add --exception.'
    : 'Name a role with --role to sign all the same.';
  return new BoundaryError('role.none', `${has}${waits}Nothing was signed. ${instead}`);
}

function severalRoles(choices: readonly string[]): BoundaryError {
  return new BoundaryError(
    'role.several',
    `This key may sign as ${anyOf(choices)}. Say which with --role; nothing was signed.`,
  );
}
