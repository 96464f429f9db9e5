import { BoundaryError } from './boundary-error.ts';
import { assertCanonical, canonicalText } from './canonical-json.ts';
import { isHexDigest } from './digest.ts';
import type { Json, JsonObject } from './json.ts';
import { isTimestamp } from './timestamp.ts';

const ACT_TYPE = 'holdfast/act/v1';
const MAX_ACT_BYTES = 16 * 1024;

/** Every kind of human act that counts by signature. */
const KINDS = [
  'approval',
  'exception',
  'review',
  'reconcile',
  'resume',
  'breakglass',
  'time',
  'hold',
  'grant',
  'suspend',
  'shred',
] as const;

/** One of `KINDS`. */
export type ActKind = (typeof KINDS)[number];

/** What a person signs (contract: "Signed act"). The signature is SSHSIG over its canonical bytes, `actNamespace`. */
export interface SignedAct {
  type: typeof ACT_TYPE;
  kind: ActKind;
  site: string;
  /** A decision's id, or that of whatever the act is about. */
  subject: string;
  /** Hex SHA-256 digests that pin the subject's content, e.g. `action` and `policy`. */
  subject_digest: Record<string, string>;
  /** `approve`, `reject`, `succeeded`, …; which ones make sense depends on the kind. */
  answer: string;
  role: string;
  reason: string;
  /** RFC 3339 ms UTC, by the signer's clock. */
  issued_at: string;
  ttl_seconds: number;
  /** Drawn by the signer; an act counts once. */
  nonce: string;
  /** Text of the checkpoint that the signer last saw of the site's ledger, if any. */
  seen_checkpoint: string | null;
}

const MEMBERS =
  'answer,issued_at,kind,nonce,reason,role,seen_checkpoint,site,subject,subject_digest,ttl_seconds,type';
const MAX_TTL_SECONDS = 366 * 24 * 3600;
const NONCE = /^[A-Za-z0-9_-]{16,128}$/;

/** SSHSIG namespace of a kind: a signature for one kind never counts as another. */
export function actNamespace(kind: ActKind): string {
  return `${kind}@holdfast`;
}

/** The exact text to sign: RFC 8785. Throws `BoundaryError` `act.shape` for an act that `parseAct` would refuse. */
export function formatAct(act: SignedAct): string {
  const value = act as unknown as JsonObject;
  assertShape(value);
  return canonicalText(value);
}

/**
 * Reads the exact text that was signed. Throws `BoundaryError` `act.too_large`, `act.not_canonical`, `act.shape`
 * (with `at`).
 */
export function parseAct(text: string): SignedAct {
  if (!text.isWellFormed()) {
    throw new BoundaryError('act.not_canonical', 'The signed act holds half of a surrogate pair.');
  }
  const bytes = new TextEncoder().encode(text.slice(0, MAX_ACT_BYTES + 1));
  if (bytes.length > MAX_ACT_BYTES) {
    throw new BoundaryError('act.too_large', `The signed act has more than ${MAX_ACT_BYTES} bytes.`);
  }
  let value: Json;
  try {
    value = assertCanonical(bytes);
  } catch (cause) {
    throw new BoundaryError('act.not_canonical', 'The signed act is not canonical JSON (RFC 8785).', {
      cause,
    });
  }
  assertShape(value);
  return value as unknown as SignedAct;
}

function assertShape(value: Json): void {
  if (!isObject(value) || Object.keys(value).sort().join() !== MEMBERS) {
    throw shape('', `must have exactly the members ${MEMBERS}`);
  }
  const { type, kind, site, subject, subject_digest: digest, answer, role, reason, nonce } = value;
  check(type === ACT_TYPE, '/type', `must be ${ACT_TYPE}`);
  check(
    KINDS.some((known) => known === kind),
    '/kind',
    `must be one of ${KINDS.join(', ')}`,
  );
  check(isText(site, 1, 255), '/site', 'must be a name');
  check(isText(subject, 1, 255), '/subject', 'must be an id');
  check(isDigests(digest), '/subject_digest', 'must map names to hex digests');
  check(
    typeof answer === 'string' && /^[a-z][a-z_]{0,31}$/.test(answer),
    '/answer',
    'must be a lower-case word',
  );
  check(isText(role, 1, 128), '/role', 'must be a role');
  check(isText(reason, 0, 2000), '/reason', 'must be text of at most 2,000 characters');
  check(isTimestamp(value.issued_at), '/issued_at', 'must be RFC 3339 in UTC with milliseconds');
  check(isTtl(value.ttl_seconds), '/ttl_seconds', `must be a count from 1 to ${MAX_TTL_SECONDS}`);
  check(
    typeof nonce === 'string' && NONCE.test(nonce),
    '/nonce',
    'must be 16 to 128 characters of A-Za-z0-9_-',
  );
  const seen = value.seen_checkpoint;
  check(seen === null || isText(seen, 1, 4096), '/seen_checkpoint', 'must be checkpoint text or null');
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: Json | undefined, min: number, max: number): boolean {
  return typeof value === 'string' && value.length >= min && value.length <= max && value.isWellFormed();
}

function isDigests(value: Json | undefined): boolean {
  if (!isObject(value)) {
    return false;
  }
  const members = Object.entries(value);
  return (
    members.length <= 8 &&
    members.every(([name, digest]) => /^[a-z][a-z_]{0,31}$/.test(name) && isHexDigest(digest))
  );
}

function isTtl(value: Json | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_TTL_SECONDS;
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds) {
    throw shape(at, what);
  }
}

function shape(at: string, what: string): BoundaryError {
  return new BoundaryError('act.shape', `The signed act${at === '' ? '' : `'s ${at}`} ${what}.`, { at });
}
