import { canonicalBytes } from './canonical-json.ts';
import { equalBytes, fromHex, isHexDigest, sha256, toHex } from './digest.ts';
import type { Json } from './json.ts';
import type { Commitment } from './permit.ts';

/** Salt of a commitment: enough that a guessed value cannot be checked without it. */
export const SALT_BYTES = 32;

/** SHA-256(salt || RFC 8785 value): binds the value without telling it. The salt must be fresh for each commitment. */
export function commit(salt: Uint8Array, value: Json): Commitment {
  return { $commitment: toHex(commitmentDigest(salt, value)) };
}

/** Whether a JSON value stands in for a sensitive one. */
export function isCommitment(value: unknown): value is Commitment {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).length === 1 &&
    '$commitment' in value &&
    isHexDigest(value.$commitment)
  );
}

/** Whether salt and value are those of the commitment; takes the same time either way. */
export function openCommitment(commitment: Commitment, salt: Uint8Array, value: Json): boolean {
  if (!isCommitment(commitment) || salt.length !== SALT_BYTES) {
    return false;
  }
  return equalBytes(fromHex(commitment.$commitment), commitmentDigest(salt, value));
}

function commitmentDigest(salt: Uint8Array, value: Json): Uint8Array {
  if (salt.length !== SALT_BYTES) {
    throw new RangeError(`a salt has ${SALT_BYTES} bytes`);
  }
  const bytes = canonicalBytes(value);
  const input = new Uint8Array(SALT_BYTES + bytes.length);
  input.set(salt);
  input.set(bytes, SALT_BYTES);
  return sha256(input);
}
