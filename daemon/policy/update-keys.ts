import type { Key } from '@tufjs/models';
import { fromHex } from '../formats/digest.ts';
import { isStrictPublicKey } from '../formats/ed25519.ts';

/**
 * What is wrong with the keys of a role, in words, or null: Ed25519 only, each valid, each counted once whatever its id,
 * and a threshold that they can meet.
 */
export function keysDefect(
  roleName: string,
  role: { keyIDs: readonly string[]; threshold: number } | undefined,
  keys: Readonly<Record<string, Key>>,
): string | null {
  if (role === undefined || !Number.isSafeInteger(role.threshold) || role.threshold < 1)
    return `there is no proper ${roleName} role`;
  const seen = new Set<string>();
  for (const id of role.keyIDs) {
    const key = Object.hasOwn(keys, id) ? keys[id] : undefined;
    const value = key?.keyVal.public;
    if (
      key?.keyType !== 'ed25519' ||
      key.scheme !== 'ed25519' ||
      value === undefined ||
      !/^[0-9a-f]{64}$/.test(value)
    )
      return `a key of the ${roleName} role is not an Ed25519 key in lower-case hex`;
    // RFC 8032 leaves room for keys under which anybody can sign; such a key would make a threshold meaningless.
    if (!isStrictPublicKey(fromHex(value))) return `a key of the ${roleName} role is weak`;
    // TUF counts key ids; two ids for one key would let one person fill a threshold of two.
    if (seen.has(value)) return `one key stands twice in the ${roleName} role`;
    seen.add(value);
  }
  return null;
}
