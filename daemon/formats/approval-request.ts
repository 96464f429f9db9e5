import { BoundaryError } from './boundary-error.ts';
import { assertCanonical, canonicalBytes, canonicalText } from './canonical-json.ts';
import type { OpenedCheckpoint } from './checkpoint.ts';
import { DIGEST_BYTES, fromBase64 } from './digest.ts';
import { decodeEntry, type Entry } from './entry.ts';
import type { Json, JsonObject } from './json.ts';
import { leafHash, verifyInclusion } from './merkle.ts';
import { type LogTrust, openTrustedCheckpoint } from './tlog-policy.ts';

/*
 * What an approver elsewhere needs to judge a decision, in one file: the entries that the ledger holds about it, each with
 * its inclusion proof under one checkpoint. Everything shown to the approver is derived from those entries, so that with
 * a trust file nothing in it has to be believed. (docs/decisions/0014-approval-requests-carry-their-proof.md)
 */

const TYPE = 'holdfast/approval-request/v1';
export const REQUEST_MAX_BYTES = 256 * 1024;
const MAX_ENTRIES = 64;
const MAX_SIGNERS = 64;
const MAX_PATH = 63;
const MAX_NOTE_CHARS = 64 * 1024;
const MEMBERS = 'checkpoint,decision,entries,signers,site,type';

/** An entry as it crosses the gap: canonical JSON inside canonical JSON, so its exact bytes are not lost. */
export interface ProvenEntry {
  index: number;
  entry: Entry;
  /** Inclusion proof under the request's checkpoint, leaf's sibling first, base64. */
  proof: string[];
}

/** Somebody who could sign, as the exporting site sees it: advice on whom to ask and in which role, never authority. */
export interface PossibleSigner {
  principal: string;
  roles: string[];
  /** Fingerprints, `SHA256:…`. */
  keys: string[];
}

/** A request for approval, as a file or in QR codes. */
export interface ApprovalRequest {
  type: typeof TYPE;
  site: string;
  /** `dec_…`. */
  decision: string;
  /** Signed note of the site's ledger. */
  checkpoint: string;
  /** Oldest first; the first one is the decision itself. */
  entries: ProvenEntry[];
  signers: PossibleSigner[];
}

/** Canonical text of a request. Throws `BoundaryError` `request.*` for one that `parseRequest` would refuse. */
export function formatRequest(parts: Omit<ApprovalRequest, 'type'>): string {
  const text = canonicalText({ ...parts, type: TYPE } as unknown as Json);
  parseRequest(new TextEncoder().encode(text));
  return text;
}

/** Whether bytes look like a request, to tell files apart. */
export function isRequest(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(-64)).trimEnd().endsWith(`"type":"${TYPE}"}`);
}

/**
 * Reads a request strictly; nothing in it is verified yet. Throws `BoundaryError` `request.too_large`,
 * `request.not_canonical`, `request.shape` (with `at`).
 */
export function parseRequest(bytes: Uint8Array): ApprovalRequest {
  if (bytes.length > REQUEST_MAX_BYTES) {
    throw new BoundaryError(
      'request.too_large',
      `The request has more than ${REQUEST_MAX_BYTES} bytes, which none has.`,
    );
  }
  let value: Json;
  try {
    value = assertCanonical(bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes);
  } catch (cause) {
    throw new BoundaryError('request.not_canonical', 'The request was changed or damaged on its way.', {
      cause,
    });
  }
  check(isObject(value) && Object.keys(value).join() === MEMBERS, '', `must have exactly ${MEMBERS}`);
  const request = value as JsonObject;
  check(request.type === TYPE, '/type', `must be ${TYPE}`);
  check(isText(request.site, 255), '/site', 'must be a name');
  check(isText(request.decision, 64), '/decision', 'must be an id');
  check(isText(request.checkpoint, MAX_NOTE_CHARS), '/checkpoint', 'must be a signed note');
  checkEntries(request.entries, String(request.decision), String(request.site));
  checkSigners(request.signers);
  return value as unknown as ApprovalRequest;
}

/**
 * Verifies that a request tells what the ledger holds: the checkpoint under `trust`, every entry under the checkpoint.
 * Returns the checkpoint. Throws `BoundaryError`: those of `openTrustedCheckpoint`, `request.not_included`.
 */
export function verifyRequest(request: ApprovalRequest, trust: LogTrust): OpenedCheckpoint {
  const checkpoint = openTrustedCheckpoint(request.checkpoint, trust);
  for (const { index, entry, proof } of request.entries) {
    const leaf = leafHash(canonicalBytes(entry as unknown as Json));
    if (!verifyInclusion(leaf, index, checkpoint.size, proof.map(decodeHash), checkpoint.root)) {
      throw new BoundaryError(
        'request.not_included',
        `What the request says is entry ${index} of the ledger is not in it.`,
      );
    }
  }
  return checkpoint;
}

function checkEntries(value: Json | undefined, decision: string, site: string): void {
  check(
    Array.isArray(value) && value.length >= 1 && value.length <= MAX_ENTRIES,
    '/entries',
    'must be a list',
  );
  let before = { index: -1, seq: -1 };
  for (const [at, item] of (value as Json[]).entries()) {
    const place = `/entries/${at}`;
    check(isObject(item) && Object.keys(item).join() === 'entry,index,proof', place, 'has other members');
    const { entry: body, index, proof } = item as JsonObject;
    check(Number.isSafeInteger(index), `${place}/index`, 'must be a count');
    check(
      Array.isArray(proof) && proof.length <= MAX_PATH && proof.every(isHash),
      `${place}/proof`,
      'must be a list of hashes',
    );
    check(isObject(body), `${place}/entry`, 'must be an entry');
    const entry = decodeEntry(canonicalBytes(body as JsonObject));
    check(entry.stream === decision && entry.site === site, `${place}/entry`, 'is about something else');
    check(at > 0 || entry.seq === 0, `${place}/entry`, 'is not the first about its decision');
    check(entry.seq > before.seq && (index as number) > before.index, place, 'is out of order');
    before = { index: index as number, seq: entry.seq };
  }
}

function checkSigners(value: Json | undefined): void {
  const isTexts = (list: Json | undefined): boolean =>
    Array.isArray(list) && list.length <= 16 && list.every((text) => isText(text, 128));
  check(Array.isArray(value) && value.length <= MAX_SIGNERS, '/signers', 'must be a list');
  for (const [at, signer] of (value as Json[]).entries()) {
    check(
      isObject(signer) &&
        Object.keys(signer).join() === 'keys,principal,roles' &&
        isText(signer.principal, 128) &&
        isTexts(signer.roles) &&
        isTexts(signer.keys),
      `/signers/${at}`,
      'must have principal, roles and keys',
    );
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: Json | undefined, max: number): boolean {
  return typeof value === 'string' && value.length >= 1 && value.length <= max;
}

function isHash(value: Json): boolean {
  if (typeof value !== 'string' || value.length > 44) return false;
  try {
    return decodeHash(value).length === DIGEST_BYTES;
  } catch {
    return false;
  }
}

function decodeHash(text: string): Uint8Array {
  return fromBase64(text);
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds) {
    throw new BoundaryError('request.shape', `The request${at === '' ? '' : `'s ${at}`} ${what}.`, { at });
  }
}
