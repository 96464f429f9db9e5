import { BoundaryError } from './boundary-error.ts';
import {
  type BreakglassPlace,
  checker,
  checkPlace,
  hasMembers,
  PLACE_MEMBERS,
  readCanonical,
} from './breakglass-scope.ts';
import { canonicalText } from './canonical-json.ts';
import { isHexDigest, sha256Hex } from './digest.ts';
import { isIdentifier } from './identifier.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';
import { isTimestamp } from './timestamp.ts';

const GRANT_TYPE = 'holdfast/grant/v1';
const SEALED_TYPE = 'holdfast/sealed-grant/v1';
const SEALED_MAX_BYTES = 65_536;
/** 150 bits: nobody guesses it, and a hash of it gives nothing away. */
const CODE_BYTES = 20;
const CODE_CHARS = 30;
const GROUP_CHARS = 5;
/** Crockford's base32: no I, L, O, U, so that what is read off paper is typed right. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * A sealed single-use grant of break-glass: where it reaches, until when it can be redeemed, and the commitment to the code
 * that redeems it. Signed by an act of kind `grant`, whose `subject_digest.grant` is the SHA-256 of its canonical text.
 */
export interface Grant extends BreakglassPlace {
  type: typeof GRANT_TYPE;
  id: string;
  site: string;
  /**
   * Origin of the log that it is accounted for in. A ledger that was restored goes on as another log, and cannot know which
   * grants were used in between: those of the log before are void.
   */
  log: string;
  /** `commitCode` of the code. */
  commitment: string;
  /** RFC 3339 ms UTC: no longer redeemable from then on. */
  expires_at: string;
}

/** What is printed and sealed in an envelope: the grant, the signature that makes it one, and the code. */
export interface SealedGrant {
  grant: string;
  act: string;
  signature: string;
  /** Null in a copy that may lie around. */
  code: string | null;
}

/** Whether a text is the id of a grant: `grant_` and a UUIDv7. */
export function isGrantId(text: string): boolean {
  return isIdentifier(text, 'grant');
}

/** The exact text of a grant. Throws `BoundaryError` `grant.shape`. */
export function formatGrant(grant: Omit<Grant, 'type'>): string {
  const value = { type: GRANT_TYPE, ...grant } as unknown as JsonObject;
  checkGrant(value);
  return canonicalText(value);
}

/** Reads the exact text of a grant. Throws `BoundaryError` `grant.too_large`, `grant.not_canonical`, `grant.shape`. */
export function parseGrant(text: string): Grant {
  const value = readCanonical(text, 'grant', 'grant');
  checkGrant(value);
  return value as unknown as Grant;
}

/** What a session that the grant opens is for. */
export function placeOf({ actor, class: name, environment, target, ttl_seconds }: Grant): BreakglassPlace {
  return { actor, class: name, environment, target, ttl_seconds };
}

/** Hex SHA-256 of a grant's text: what its issuer signs. */
export function grantDigest(text: string): string {
  return sha256Hex(text);
}

/** The code's stand-in wherever the grant is stored or sent before it is used. `code` as `normalCode` gives it. */
export function commitCode(id: string, code: string): string {
  return sha256Hex(`${GRANT_TYPE}\n${id}\n${code}`);
}

/** A code from 20 random bytes, of which 150 bits are used, in groups: `0A1B2-…`. */
export function codeOf(random: Uint8Array): string {
  if (random.length !== CODE_BYTES) throw new RangeError(`a code is made of ${CODE_BYTES} random bytes`);
  let bits = 0n;
  for (const byte of random) bits = (bits << 8n) | BigInt(byte);
  let code = '';
  for (let n = 0; n < CODE_CHARS; n++) {
    if (n > 0 && n % GROUP_CHARS === 0) code += '-';
    code += ALPHABET[Number((bits >> BigInt(n * 5)) & 31n)];
  }
  return code;
}

/**
 * A code as it was made, from what somebody typed: small letters, spaces, and the letters that look like digits are
 * forgiven. Throws `BoundaryError` `grant.code` when it cannot be one; says nothing of what was typed.
 */
export function normalCode(typed: string): string {
  const plain = typed.toUpperCase().replace(/[\s-]/g, '').replace(/O/g, '0').replace(/[IL]/g, '1');
  if (plain.length !== CODE_CHARS || [...plain].some((char) => !ALPHABET.includes(char))) {
    throw new BoundaryError(
      'grant.code',
      `The code is not one: it has ${CODE_CHARS} letters and digits in groups of ${GROUP_CHARS}. Nothing was sent; compare it with the paper and type it again.`,
    );
  }
  return plain.match(/.{5}/g)?.join('-') ?? '';
}

/** The bytes of a sealed grant's file. */
export function formatSealedGrant(sealed: SealedGrant): string {
  return canonicalText({ type: SEALED_TYPE, ...sealed });
}

/** Reads a sealed grant's file; what it says is not judged. Throws `BoundaryError` `grant.file`. */
export function parseSealedGrant(bytes: Uint8Array): SealedGrant {
  let value: Json;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = parseStrict(text, { maxBytes: SEALED_MAX_BYTES, maxDepth: 2 });
  } catch (cause) {
    throw notSealed(cause);
  }
  if (!hasMembers(value, ['act', 'code', 'grant', 'signature', 'type'])) throw notSealed();
  const { type, act, code, grant, signature } = value;
  if (type !== SEALED_TYPE || (code !== null && typeof code !== 'string')) throw notSealed();
  if (typeof act !== 'string' || typeof grant !== 'string' || typeof signature !== 'string')
    throw notSealed();
  return { grant, act, signature, code };
}

function notSealed(cause?: unknown): BoundaryError {
  return new BoundaryError('grant.file', 'This is not a sealed grant; nothing was sent.', { cause });
}

function checkGrant(value: Json): asserts value is JsonObject {
  const check = checker('grant', 'grant');
  const own = ['commitment', 'expires_at', 'id', 'log', 'site', 'type'];
  check(hasMembers(value, [...PLACE_MEMBERS, ...own]), '', 'must have exactly its members');
  const grant = value as JsonObject;
  check(grant.type === GRANT_TYPE, '/type', `must be ${GRANT_TYPE}`);
  check(typeof grant.id === 'string' && isGrantId(grant.id), '/id', 'must be grant_ and a UUIDv7');
  check(isName(grant.site), '/site', 'must be a name');
  check(isName(grant.log), '/log', 'must be the origin of a log');
  check(isHexDigest(grant.commitment), '/commitment', 'must be a hex SHA-256');
  check(isTimestamp(grant.expires_at), '/expires_at', 'must be RFC 3339 in UTC with milliseconds');
  checkPlace(grant, check);
}

function isName(value: Json | undefined): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= 255 && value.isWellFormed();
}
