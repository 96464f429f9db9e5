import { BoundaryError } from './boundary-error.ts';
import { assertCanonical, canonicalText } from './canonical-json.ts';
import { isHexDigest, sha256Hex } from './digest.ts';
import type { Json, JsonObject } from './json.ts';
import { isTimestamp } from './timestamp.ts';

/** Largest entry in bytes: C2SP tlog-tiles length-prefixes entries of an entry bundle with a u16. */
export const ENTRY_MAX_BYTES = 65_535;

/** How far the clock could be believed when something was recorded (design: "Time without NTP"). */
export type TimeTrust = 'trusted' | 'floor' | 'uncertain';

/** Everything the ledger may hold. An entry is named after the result of the command that made it. */
export type EntryType =
  | 'decision.authorized'
  | 'decision.pending_authority'
  | 'decision.denied'
  | 'decision.queued'
  | 'decision.expired'
  | 'decision.cancelled'
  | 'decision.reviewed'
  | 'decision.reconciled'
  | 'approval.added'
  | 'approval.rejected'
  | 'exception.granted'
  | 'permit.redeemed'
  | 'permit.outcome'
  | 'policy.applied'
  | 'policy.refused'
  | 'policy.degraded'
  | 'policy.held'
  | 'policy.approved'
  | 'policy.rejected'
  | 'policy.lapsed'
  | 'outbox.acknowledged'
  | 'anchor.exported'
  | 'anchor.cosigned'
  | 'anchor.carried'
  | 'anchor.overdue'
  | 'ledger.read'
  | 'ledger.pruned'
  | 'retention.held'
  | 'retention.released'
  | 'envelope.shredded'
  | 'envelope.withheld'
  | 'envelope.released'
  | 'backup.created'
  | 'backup.restored'
  | 'key.rotated'
  | 'key.suspended'
  | 'key.reinstated'
  | 'breakglass.activated'
  | 'breakglass.ended'
  | 'breakglass.reviewed'
  | 'breakglass.overdue'
  | 'breakglass.refused'
  | 'grant.issued'
  | 'grant.revoked'
  | 'grant.expired'
  | 'incident.opened'
  | 'incident.cleared'
  | 'anomaly.detected'
  | 'time.uncertain'
  | 'time.restored'
  | 'system.initialized'
  | 'system.started'
  | 'system.stopped'
  | 'system.heartbeat'
  | 'system.retired';

/** Who caused an entry: the actor of the request, the approver, or the system itself. */
export interface EntryActor {
  id: string | null;
  role: string | null;
}

/**
 * One ledger entry, the unit of evidence (contract: "Files, Entry"). Stored and hashed as RFC 8785 JSON, UTF-8.
 * `seq` counts from 0 inside `stream`; `prev` is the hex SHA-256 of the stream's previous entry bytes, null at seq 0.
 */
export interface Entry {
  v: 1;
  site: string;
  type: EntryType;
  /** RFC 3339 UTC with milliseconds. */
  at: string;
  time_trust: TimeTrust;
  /** `dec_…` for a decision; `policy`, `system` otherwise. */
  stream: string;
  seq: number;
  prev: string | null;
  actor: EntryActor;
  data: JsonObject;
}

/** Every `EntryType`, for checks; a record, so that the compiler notices one that is missing. */
export const ENTRY_TYPES: Readonly<Record<EntryType, true>> = {
  'decision.authorized': true,
  'decision.pending_authority': true,
  'decision.denied': true,
  'decision.queued': true,
  'decision.expired': true,
  'decision.cancelled': true,
  'decision.reviewed': true,
  'decision.reconciled': true,
  'approval.added': true,
  'approval.rejected': true,
  'exception.granted': true,
  'permit.redeemed': true,
  'permit.outcome': true,
  'policy.applied': true,
  'policy.refused': true,
  'policy.degraded': true,
  'policy.held': true,
  'policy.approved': true,
  'policy.rejected': true,
  'policy.lapsed': true,
  'outbox.acknowledged': true,
  'anchor.exported': true,
  'anchor.cosigned': true,
  'anchor.carried': true,
  'anchor.overdue': true,
  'ledger.read': true,
  'ledger.pruned': true,
  'retention.held': true,
  'retention.released': true,
  'envelope.shredded': true,
  'envelope.withheld': true,
  'envelope.released': true,
  'backup.created': true,
  'backup.restored': true,
  'key.rotated': true,
  'key.suspended': true,
  'key.reinstated': true,
  'breakglass.activated': true,
  'breakglass.ended': true,
  'breakglass.reviewed': true,
  'breakglass.overdue': true,
  'breakglass.refused': true,
  'grant.issued': true,
  'grant.revoked': true,
  'grant.expired': true,
  'incident.opened': true,
  'incident.cleared': true,
  'anomaly.detected': true,
  'time.uncertain': true,
  'time.restored': true,
  'system.initialized': true,
  'system.started': true,
  'system.stopped': true,
  'system.heartbeat': true,
  'system.retired': true,
};

const MEMBERS = 'actor,at,data,prev,seq,site,stream,time_trust,type,v';

const encoder = new TextEncoder();

/**
 * RFC 8785 bytes of an entry. The outer members are written in their canonical order directly, because every entry
 * passes here; the tests hold the result against the general canonicalizer.
 *
 * `dataText` is the canonical text of `entry.data`, where the caller has it already.
 *
 * Throws `BoundaryError` `entry.too_large` above 65,535 bytes.
 */
export function encodeEntry(entry: Entry, dataText: string = canonicalText(entry.data)): Uint8Array {
  const bytes = encoder.encode(
    `{"actor":${canonicalText({ id: entry.actor.id, role: entry.actor.role })}` +
      `,"at":${canonicalText(entry.at)},"data":${dataText},"prev":${canonicalText(entry.prev)}` +
      `,"seq":${canonicalText(entry.seq)},"site":${canonicalText(entry.site)},"stream":${canonicalText(entry.stream)}` +
      `,"time_trust":${canonicalText(entry.time_trust)},"type":${canonicalText(entry.type)},"v":${entry.v}}`,
  );
  assertSize(bytes);
  return bytes;
}

/**
 * Reads entry bytes strictly: size, canonical form, exactly the members of an entry, each of its type.
 *
 * Throws `BoundaryError` `entry.too_large`, `entry.not_canonical`, `entry.shape` (with `at`).
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  assertSize(bytes);
  let value: Json;
  try {
    value = assertCanonical(bytes);
  } catch (cause) {
    throw new BoundaryError('entry.not_canonical', 'The entry is not canonical JSON (RFC 8785).', { cause });
  }
  if (!isObject(value) || Object.keys(value).join() !== MEMBERS) {
    throw shape('', `must have exactly the members ${MEMBERS}`);
  }
  const { actor, at, data, prev, seq, site, stream, time_trust: timeTrust, type, v } = value;
  check(v === 1, '/v', 'must be 1');
  check(isName(site), '/site', 'must be a name');
  check(isName(stream), '/stream', 'must be a name');
  check(typeof type === 'string' && Object.hasOwn(ENTRY_TYPES, type), '/type', 'is not a known entry type');
  check(isTimestamp(at), '/at', 'must be RFC 3339 in UTC with milliseconds');
  check(
    timeTrust === 'trusted' || timeTrust === 'floor' || timeTrust === 'uncertain',
    '/time_trust',
    'is unknown',
  );
  check(Number.isSafeInteger(seq) && (seq as number) >= 0, '/seq', 'must be a count');
  check(seq === 0 ? prev === null : isHexDigest(prev), '/prev', 'must be null at seq 0, else a hex SHA-256');
  check(isActor(actor), '/actor', 'must have id and role, strings or null');
  check(isObject(data), '/data', 'must be an object');
  return value as unknown as Entry;
}

/** Hex SHA-256 of entry bytes: `prev` of the stream's next entry. */
export function entryHash(bytes: Uint8Array): string {
  return sha256Hex(bytes);
}

function assertSize(bytes: Uint8Array): void {
  if (bytes.length > ENTRY_MAX_BYTES) {
    throw new BoundaryError(
      'entry.too_large',
      `The entry has ${bytes.length} bytes; at most ${ENTRY_MAX_BYTES} fit. Log large content by its digest.`,
    );
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: Json | undefined): boolean {
  return typeof value === 'string' && value !== '' && value.length <= 255;
}

function isActor(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    Object.keys(value).join() === 'id,role' &&
    isNullable(value.id) &&
    isNullable(value.role)
  );
}

function isNullable(value: Json | undefined): boolean {
  return value === null || typeof value === 'string';
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds) {
    throw shape(at, what);
  }
}

function shape(at: string, what: string): BoundaryError {
  return new BoundaryError('entry.shape', `The entry${at === '' ? '' : `'s ${at}`} ${what}.`, { at });
}
