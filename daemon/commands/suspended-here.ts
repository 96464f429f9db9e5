import { type ApiClient, ApiProblem, ApiUnreachable } from '../api/client.ts';
import type { BundlePrincipal } from '../core/bundle.ts';
import type { Suspended } from '../core/suspended.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parsePublicKeyLine } from '../formats/sshsig.ts';
import { say } from './render/output.ts';

type BundleKey = NonNullable<BundlePrincipal['keys']>[number];

/** A principal as they count at this site: `suspended` is also what the policy calls active and was suspended here. */
export type PrincipalHere = Omit<BundlePrincipal, 'keys'> & { keys?: KeyHere[] };
export type KeyHere = Omit<BundleKey, 'status'> & { status?: 'active' | 'revoked' | 'suspended' };

/**
 * What is suspended at the site; nothing, and a word about it on stderr, where the daemon does not tell: what the policy
 * says can be shown without it, but must not pass for all there is to know.
 */
export async function suspendedHere(client: ApiClient): Promise<Suspended> {
  try {
    const { suspended } = await client.suspendedKeys();
    return new Set(suspended.map((each) => each.suspended));
  } catch (error) {
    if (!(error instanceof ApiProblem) && !(error instanceof ApiUnreachable)) throw error;
    say(
      'What is suspended here is not known: the daemon does not tell. Who is shown as active may be suspended; see: holdfast keys list',
    );
    return new Set();
  }
}

/** What the policy says of a principal, and what was suspended here: the principal with all keys, or one key alone. */
export function countedHere(id: string, principal: BundlePrincipal, suspended: Suspended): PrincipalHere {
  if (suspended.size === 0) return principal;
  const { keys, ...rest } = principal;
  const all = suspended.has(id);
  return {
    ...rest,
    status: all && rest.status === 'active' ? 'suspended' : rest.status,
    ...(keys === undefined ? {} : { keys: keys.map((key) => keyHere(key, all, suspended)) }),
  };
}

function keyHere(key: BundleKey, all: boolean, suspended: Suspended): KeyHere {
  const active = (key.status ?? 'active') === 'active';
  return active && (all || suspended.has(fingerprintOf(key))) ? { ...key, status: 'suspended' } : key;
}

/** The name under which a key is suspended; empty for a key that cannot be read, which counts nowhere. */
function fingerprintOf({ public_key }: BundleKey): string {
  try {
    return parsePublicKeyLine(public_key).fingerprint;
  } catch (error) {
    if (error instanceof BoundaryError) return '';
    throw error;
  }
}
