import { commit } from '../formats/commitment.ts';
import { toBase64 } from '../formats/digest.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { BundleActionClass } from './bundle.ts';

/** What opens a commitment: the salt (base64) and the value. Kept encrypted beside the ledger, never in it. */
export interface SealedValue {
  salt: string;
  value: Json;
}

export type SealedValues = Record<string, SealedValue>;

/**
 * Puts salted commitments in place of the sensitive members of a payload. `salts` draws a fresh 32-byte salt for each
 * field. The payload is returned as it is when nothing in it is sensitive.
 */
export function redactPayload(
  payload: JsonObject,
  actionClass: BundleActionClass,
  salts: (field: string) => Uint8Array,
): { payload: JsonObject; sealed: SealedValues } {
  let redacted: JsonObject | null = null;
  const sealed: SealedValues = {};
  for (const [field, { sensitive }] of Object.entries(actionClass.payload ?? {})) {
    const value = Object.hasOwn(payload, field) ? payload[field] : undefined;
    if (sensitive !== true || value === undefined) continue;
    const salt = salts(field);
    redacted ??= { ...payload };
    redacted[field] = { ...commit(salt, value) };
    sealed[field] = { salt: toBase64(salt), value };
  }
  return { payload: redacted ?? payload, sealed };
}
