import { BoundaryError } from './boundary-error.ts';
import { assertCanonical, canonicalText } from './canonical-json.ts';
import { sha256Hex } from './digest.ts';
import { isIdentifier } from './identifier.ts';
import type { Json, JsonObject } from './json.ts';

const SCOPE_TYPE = 'holdfast/breakglass/v1';
const MAX_SCOPE_BYTES = 16 * 1024;
const MAX_REASON_FIELDS = 16;
const MAX_SECONDS = 7 * 24 * 3600;

/** Where break-glass reaches: one class, on one target, in one environment, word for word, for so long. */
export interface BreakglassPlace {
  /** The one who may ask under it; null: whoever the policy lets ask for the class. */
  actor: string | null;
  class: string;
  environment: string;
  target: { type: string; id: string };
  ttl_seconds: number;
}

/**
 * What a person breaks the glass for (contract: "Signed act"). Carried beside the act, whose `subject_digest.scope` is the
 * SHA-256 of its canonical text.
 */
export interface BreakglassScope extends BreakglassPlace {
  type: typeof SCOPE_TYPE;
  /** The structured reason that the policy's template asks for, by field. */
  reason: Record<string, string>;
}

/** Whether a text is the id of a break-glass session: `bg_` and a UUIDv7. */
export function isSessionId(text: string): boolean {
  return isIdentifier(text, 'bg');
}

/** The members of a place; `type` and the rest belong to the document that holds it. */
export const PLACE_MEMBERS: readonly string[] = ['actor', 'class', 'environment', 'target', 'ttl_seconds'];

/** A scope's document from its parts, ready to be digested and sent. Throws `BoundaryError` `breakglass.shape`. */
export function formatScope(place: BreakglassPlace, reason: Record<string, string>): string {
  const value = { type: SCOPE_TYPE, ...place, reason } as unknown as JsonObject;
  checkScope(value);
  return canonicalText(value);
}

/** Hex SHA-256 of a scope's text: what signatures about the session bind. */
export function scopeDigest(text: string): string {
  return sha256Hex(text);
}

/**
 * Reads the exact text of a scope. Throws `BoundaryError` `breakglass.too_large`, `breakglass.not_canonical`,
 * `breakglass.shape` (with `at`).
 */
export function parseScope(text: string): BreakglassScope {
  const value = readCanonical(text, 'breakglass', 'scope');
  checkScope(value);
  return value as unknown as BreakglassScope;
}

/** Canonical JSON of bounded size; `code` and `what` are for what is said about other texts. */
export function readCanonical(text: string, code: 'breakglass' | 'grant', what: string): Json {
  if (!text.isWellFormed() || text.length > MAX_SCOPE_BYTES || utf8Length(text) > MAX_SCOPE_BYTES) {
    throw new BoundaryError(
      `${code}.too_large`,
      `The ${what} has more than ${MAX_SCOPE_BYTES} bytes of text.`,
    );
  }
  try {
    return assertCanonical(new TextEncoder().encode(text));
  } catch (cause) {
    throw new BoundaryError(`${code}.not_canonical`, `The ${what} is not canonical JSON (RFC 8785).`, {
      cause,
    });
  }
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

function checkScope(value: Json): asserts value is JsonObject {
  const check = checker('breakglass', 'scope');
  check(hasMembers(value, [...PLACE_MEMBERS, 'reason', 'type']), '', 'must have exactly its members');
  const scope = value as JsonObject;
  check(scope.type === SCOPE_TYPE, '/type', `must be ${SCOPE_TYPE}`);
  checkPlace(scope, check);
  check(isReason(scope.reason), '/reason', 'must map field names to texts');
}

export type Check = (holds: boolean, at: string, what: string) => void;

/** Throws `BoundaryError` `<code>.shape` where something does not hold. */
export function checker(code: 'breakglass' | 'grant', what: string): Check {
  return (holds, at, must) => {
    if (!holds)
      throw new BoundaryError(`${code}.shape`, `The ${what}${at === '' ? '' : `'s ${at}`} ${must}.`, { at });
  };
}

/** Whether a value is an object with exactly these members. */
export function hasMembers(value: Json, names: readonly string[]): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).sort().join() === [...names].sort().join();
}

/** Checks the members of a place. */
export function checkPlace(
  { actor, class: name, environment, target, ttl_seconds: ttl }: JsonObject,
  check: Check,
): void {
  check(actor === null || isText(actor, 128), '/actor', 'must be the id of a principal, or null');
  check(isText(name, 64), '/class', 'must be an action class');
  check(isText(environment, 64), '/environment', 'must be an environment');
  check(
    target !== undefined &&
      hasMembers(target, ['id', 'type']) &&
      isText(target.type, 64) &&
      isText(target.id, 512),
    '/target',
    'must have type and id',
  );
  check(
    Number.isSafeInteger(ttl) && (ttl as number) >= 1 && (ttl as number) <= MAX_SECONDS,
    '/ttl_seconds',
    `must be a count from 1 to ${MAX_SECONDS}`,
  );
}

function isReason(value: Json | undefined): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const fields = Object.entries(value);
  return (
    fields.length <= MAX_REASON_FIELDS &&
    fields.every(([name, text]) => /^[a-z][a-z0-9_]{0,63}$/.test(name) && isText(text, 2_000))
  );
}

function isText(value: Json | undefined, max: number): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= max && value.isWellFormed();
}
