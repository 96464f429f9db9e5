import type { Json } from './json.ts';

/*
 * A secret that never leaves the gateway: a payload field of type `secret_ref` holds its name only, `credential:NAME`. The
 * record, the permit and every digest are about that name; the resolved call says where the value goes.
 */

const REFERENCE = /^credential:([a-z0-9][a-z0-9._-]{0,63})$/;
/** The site's own credentials are nobody's to ask for. */
const RESERVED = /^holdfast/;

/** What stands in a resolved call for the value of a credential. */
export interface CredentialSlot {
  $credential: string;
}

/** The name in `credential:NAME`; null for anything else. */
export function credentialName(value: Json | undefined): string | null {
  const name = typeof value === 'string' ? REFERENCE.exec(value)?.[1] : undefined;
  return name === undefined || RESERVED.test(name) ? null : name;
}

/** The place in a call that the gateway fills with a credential's value. */
export function credentialSlot(name: string): CredentialSlot {
  return { $credential: name };
}

/** The name of the credential that belongs in this place of a call; null for an ordinary value. */
export function slotName(value: Json | undefined): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { $credential: name, ...rest } = value;
  if (typeof name !== 'string' || Object.keys(rest).length > 0) return null;
  return credentialName(`credential:${name}`);
}
