import type { BundleApprovals } from './bundle-approvals.ts';
import { type Refusal, refuse } from './refusal.ts';

/** What a security key says under its signature (PROTOCOL.u2f). */
export interface KeyUse {
  /** Somebody touched it. */
  user_present: boolean;
  /** Somebody proved by PIN or biometrics to be its owner. */
  user_verified: boolean;
  /** Counts the key's signatures; 0 for ever on keys that do not count. */
  counter: number;
}

/** What `checkKeyUse` looks at. */
export interface KeyUseContext {
  /** Fingerprint of the signing key. */
  key: string;
  /** Null when it is a plain key, in a file or an agent. */
  use: KeyUse | null;
  /** Role that was signed in. */
  role: string;
  /** Whether the roster asks for a PIN whenever this key signs. */
  pin_required: boolean;
  /** Highest counter of this key in an act that counted; null when none did. */
  last_counter: number | null;
  rules: BundleApprovals | undefined;
}

const UP = 0x01;
const UV = 0x04;

/** Flags and counter of a verified signature as a key's use; null where there are none (WebAuthn §6.1). */
export function keyUseOf(signature: { flags?: number; counter?: number }): KeyUse | null {
  const { flags, counter } = signature;
  if (flags === undefined || counter === undefined) return null;
  return { user_present: (flags & UP) !== 0, user_verified: (flags & UV) !== 0, counter };
}

/**
 * Whether a genuine signature also shows what policy asks of its key: touched, unlocked by its owner where that is
 * demanded, and its counter ahead of what it was (WebAuthn §7.2: else the key may have been cloned).
 */
export function checkKeyUse(context: KeyUseContext): Refusal | null {
  const { key, use } = context;
  if (use !== null && !use.user_present) {
    return refuse(
      'approval.user_not_present',
      `Security key ${key} signed without being touched, so nobody may have been there. It does not count; sign again and touch it.`,
    );
  }
  return checkPin(context) ?? checkCounter(context);
}

function checkPin({ key, use, role, pin_required, rules }: KeyUseContext): Refusal | null {
  const forRole = rules?.require_pin_for?.includes(role) === true;
  if (!forRole && !pin_required) return null;
  const who = forRole ? `the role ${role}` : `key ${key}`;
  if (use === null) {
    return refuse(
      'approval.security_key_required',
      `Policy demands a security key with a PIN for ${who}; a key in a file cannot show one. Sign with the security key that is enrolled.`,
    );
  }
  if (use.user_verified) return null;
  return refuse(
    'approval.user_not_verified',
    `Policy demands a PIN for ${who}, and security key ${key} was used without one. Make its SSH key anew with: ssh-keygen -t ed25519-sk -O verify-required`,
  );
}

function checkCounter({ key, use, last_counter }: KeyUseContext): Refusal | null {
  if (use === null || last_counter === null) return null;
  // A key that does not count says 0 each time. One that has counted and says 0 has been replaced.
  if (use.counter > last_counter || (use.counter === 0 && last_counter === 0)) return null;
  return refuse(
    'approval.counter_not_newer',
    `Security key ${key} says this is its signature number ${use.counter}; one with number ${last_counter} counted before. Either acts arrive in another order than they were signed (then sign this one again), or the key was cloned: if its owner does not know why, suspend it.`,
  );
}
