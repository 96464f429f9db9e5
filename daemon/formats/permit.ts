import { BoundaryError } from './boundary-error.ts';
import { isSessionId } from './breakglass-scope.ts';
import { canonicalText } from './canonical-json.ts';
import type { OpenedCheckpoint } from './checkpoint.ts';
import { isHexDigest, sha256Hex } from './digest.ts';
import { decodeEntry, type Entry, type EntryType } from './entry.ts';
import type { Json, JsonObject } from './json.ts';
import { isTimestamp } from './timestamp.ts';
import type { LogTrust } from './tlog-policy.ts';
import { parseProof, verifyProof } from './tlog-proof.ts';

/** A sensitive value's stand-in wherever bytes are hashed or stored: SHA-256 over salt and canonical value. */
export interface Commitment {
  /** Hex SHA-256 of `salt(32 bytes) || RFC 8785 bytes of the value`. */
  $commitment: string;
}

/** A resolved `exec` call: what the gateway runs, word for word. No shell is involved. */
export interface ExecCall {
  connector: 'exec';
  argv: string[];
  /** JSON object written to the tool's stdin; sensitive members are commitments here, values beside the permit. */
  stdin: JsonObject | null;
  timeout_ms: number;
  output_limit_bytes: number;
}

/** A resolved `http` call to a Unix socket or TCP address that the bundle names. */
export interface HttpCall {
  connector: 'http';
  /** `unix:/path` or `tcp:host:port`. */
  address: string;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body: Json;
  timeout_ms: number;
  output_limit_bytes: number;
}

export type ResolvedCall = ExecCall | HttpCall;

/**
 * The grant inside an `allow` entry (`data.permit`). A permit *file* is the C2SP tlog-proof of that entry, with the
 * entry's bytes in its `extra` line.
 */
export interface Permit {
  /** `prm_…`, with the decision's own unique part: a decision yields at most one permit. */
  id: string;
  decision_id: string;
  audience: string;
  action_digest: string;
  policy_digest: string;
  tool: string;
  call: ResolvedCall;
  environment: string;
  target: { type: string; id: string };
  profile: string;
  /** The break-glass session that it was given under, if any; it dies with that. */
  breakglass?: string;
  /** RFC 3339 ms UTC. */
  not_before: string;
  expires_at: string;
}

/** Entries that can satisfy a decision's authority, and so can carry a permit. */
const GRANTING: ReadonlySet<EntryType> = new Set([
  'decision.authorized',
  'approval.added',
  'exception.granted',
]);

const PERMIT_MEMBERS =
  'action_digest,audience,call,decision_id,environment,expires_at,id,not_before,policy_digest,profile,target,tool';
const PERMIT_MEMBERS_UNDER_BREAKGLASS = PERMIT_MEMBERS.replace('audience,', 'audience,breakglass,');
const EXEC_MEMBERS = 'argv,connector,output_limit_bytes,stdin,timeout_ms';
const HTTP_MEMBERS = 'address,body,connector,method,output_limit_bytes,path,timeout_ms';

/** A permit file that was found genuine. Whether it may be used here and now is `checkPermitUse`. */
export interface VerifiedPermit {
  permit: Permit;
  entry: Entry;
  /** Log index of the entry. */
  index: number;
  checkpoint: OpenedCheckpoint;
}

/** Where and when somebody wants to act under a permit. */
export interface PermitUse {
  /** Unix time in ms. */
  now: number;
  audience: string;
  environment?: string;
  target?: { type: string; id: string };
}

/** Why a genuine permit does not apply. */
export interface PermitObjection {
  code:
    | 'permit.wrong_audience'
    | 'permit.wrong_environment'
    | 'permit.wrong_target'
    | 'permit.not_yet_valid'
    | 'permit.expired';
  message: string;
}

/**
 * The permit in an entry's data, or null when it carries none. Throws `BoundaryError` `permit.shape` for something
 * under `permit` that is not one.
 */
export function permitOf(entry: Entry): Permit | null {
  const value = entry.data.permit;
  if (value === undefined || value === null) {
    return null;
  }
  check(
    isObject(value) && [PERMIT_MEMBERS, PERMIT_MEMBERS_UNDER_BREAKGLASS].includes(members(value)),
    '',
    `must have exactly the members ${PERMIT_MEMBERS}`,
  );
  const permit = value as JsonObject;
  for (const name of ['id', 'decision_id', 'audience', 'tool', 'environment', 'profile']) {
    check(typeof permit[name] === 'string' && permit[name] !== '', `/${name}`, 'must be a non-empty string');
  }
  check(isSession(permit.breakglass), '/breakglass', 'must be the id of a session');
  for (const name of ['action_digest', 'policy_digest']) {
    check(isHexDigest(permit[name]), `/${name}`, 'must be a hex SHA-256');
  }
  for (const name of ['not_before', 'expires_at']) {
    check(isTimestamp(permit[name]), `/${name}`, 'must be RFC 3339 in UTC with milliseconds');
  }
  const { target, call } = permit;
  check(
    isObject(target) &&
      members(target) === 'id,type' &&
      Object.values(target).every((part) => typeof part === 'string'),
    '/target',
    'must have type and id',
  );
  check(isResolvedCall(call), '/call', 'must be a resolved exec or http call');
  return value as unknown as Permit;
}

/**
 * Verifies a permit file offline: checkpoint signatures under `trust`, inclusion of the entry that its `extra` line
 * carries, the entry itself, and that this entry is an `allow` whose permit speaks of the same decision, action and policy.
 * It does not look at the time, the audience or whether the permit was used.
 *
 * Throws `BoundaryError`: those of `verifyProof` and `decodeEntry`, `permit.none`, `permit.shape`,
 * `permit.foreign_site`, `permit.not_allowed`, `permit.mismatch`.
 */
export function verifyPermit(file: string, trust: LogTrust): VerifiedPermit {
  if (parseProof(file).extra === undefined) {
    throw new BoundaryError('permit.none', 'The proof does not carry an entry, so it is not a permit file.');
  }
  const { index, leaf, checkpoint } = verifyProof(file, trust);
  const entry = decodeEntry(leaf);
  const permit = permitOf(entry);
  if (permit === null) {
    throw new BoundaryError('permit.none', `Entry ${index} (${entry.type}) is genuine, but grants nothing.`);
  }
  checkSite(entry, checkpoint.origin);
  checkGrant(entry);
  checkBinding(entry, permit);
  return { permit, entry, index, checkpoint };
}

/** What speaks against acting under a permit at this time and place; null when nothing does. */
export function checkPermitUse(permit: Permit, use: PermitUse): PermitObjection | null {
  if (permit.audience !== use.audience) {
    return objection('permit.wrong_audience', `It is for ${permit.audience}, not for ${use.audience}.`);
  }
  if (use.environment !== undefined && permit.environment !== use.environment) {
    return objection(
      'permit.wrong_environment',
      `It is for ${permit.environment}, not for ${use.environment}.`,
    );
  }
  const { target } = use;
  if (target !== undefined && (permit.target.type !== target.type || permit.target.id !== target.id)) {
    return objection('permit.wrong_target', `It is for ${permit.target.type} ${permit.target.id}.`);
  }
  // Written so that a NaN time or date refuses.
  if (!(use.now >= Date.parse(permit.not_before))) {
    return objection('permit.not_yet_valid', `It is valid from ${permit.not_before} on.`);
  }
  if (!(use.now < Date.parse(permit.expires_at))) {
    return objection('permit.expired', `It was valid until ${permit.expires_at}. Ask for a new decision.`);
  }
  return null;
}

/** SHA-256 over RFC 8785 of exactly class, intent, target and payload of a normalized, redacted action. */
export function actionDigest(action: { class: Json; intent: Json; target: Json; payload: Json }): string {
  const { class: actionClass, intent, target, payload } = action;
  return sha256Hex(canonicalText({ class: actionClass, intent, payload, target }));
}

/** The log's origin is `<site>/ledger`, or `<site>/ledger/<n>` after a restore. */
function checkSite(entry: Entry, origin: string): void {
  const base = `${entry.site}/ledger`;
  if (
    origin !== base &&
    !(origin.startsWith(`${base}/`) && /^[1-9][0-9]*$/.test(origin.slice(base.length + 1)))
  ) {
    throw new BoundaryError(
      'permit.foreign_site',
      `The entry is of ${entry.site}, but the log is ${origin}.`,
    );
  }
}

/** An allow: the entry passed into `authorized`, by verdict or by the signature that completed the authority. */
function checkGrant(entry: Entry): void {
  const { transitions, enforcement, answer } = entry.data;
  const authorized = Array.isArray(transitions) && transitions.at(-1) === 'authorized';
  const allowed =
    entry.type === 'decision.authorized'
      ? isObject(enforcement) && enforcement.result === 'allow'
      : answer === 'approve' && GRANTING.has(entry.type);
  if (!authorized || !allowed) {
    throw new BoundaryError(
      'permit.not_allowed',
      `The entry (${entry.type}) does not allow what its permit grants.`,
    );
  }
}

function checkBinding(entry: Entry, permit: Permit): void {
  const { action, policy, context } = entry.data;
  if (permit.decision_id !== entry.stream || permit.id !== entry.stream.replace(/^dec_/, 'prm_')) {
    throw mismatch('decision');
  }
  if (entry.type !== 'decision.authorized') {
    // The action lies in the decision's first entry; here the digest alone speaks of it.
    return;
  }
  if (!isAction(action) || actionDigest(action) !== permit.action_digest) {
    throw mismatch('action');
  }
  if (canonicalText(action.target) !== canonicalText({ id: permit.target.id, type: permit.target.type })) {
    throw mismatch('target');
  }
  if (!isObject(policy) || policy.digest !== permit.policy_digest) {
    throw mismatch('policy');
  }
  if (!isObject(context) || context.environment !== permit.environment) {
    throw mismatch('environment');
  }
}

function isAction(
  value: Json | undefined,
): value is { class: Json; intent: Json; target: Json; payload: Json } {
  return isObject(value) && members(value) === 'class,intent,payload,target';
}

/** Whether a value is a call as a gateway would run it. */
export function isResolvedCall(value: Json | undefined): boolean {
  if (!isObject(value) || !isCount(value.timeout_ms) || !isCount(value.output_limit_bytes)) {
    return false;
  }
  if (value.connector === 'exec') {
    const { argv, stdin } = value;
    return (
      members(value) === EXEC_MEMBERS &&
      Array.isArray(argv) &&
      argv.length > 0 &&
      argv.every((argument) => typeof argument === 'string') &&
      (stdin === null || isObject(stdin))
    );
  }
  const { method, path, address } = value;
  return (
    value.connector === 'http' &&
    members(value) === HTTP_MEMBERS &&
    typeof address === 'string' &&
    typeof path === 'string' &&
    typeof method === 'string' &&
    ['GET', 'POST', 'PUT', 'DELETE'].includes(method)
  );
}

function isSession(value: Json | undefined): boolean {
  return value === undefined || (typeof value === 'string' && isSessionId(value));
}

function isCount(value: Json | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function members(value: JsonObject): string {
  return Object.keys(value).sort().join();
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds) {
    throw new BoundaryError('permit.shape', `The permit${at === '' ? '' : `'s ${at}`} ${what}.`, { at });
  }
}

function mismatch(what: string): BoundaryError {
  return new BoundaryError('permit.mismatch', `The permit speaks of another ${what} than its entry.`);
}

function objection(code: PermitObjection['code'], why: string): PermitObjection {
  return { code, message: `The permit does not apply here. ${why}` };
}
