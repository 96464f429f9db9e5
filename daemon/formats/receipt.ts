import { BoundaryError } from './boundary-error.ts';
import { canonicalBytes } from './canonical-json.ts';
import { type DsseEnvelope, parseEnvelope, signEnvelope, verifyEnvelope } from './dsse.ts';
import { decodeEntry, type Entry } from './entry.ts';
import type { JsonObject } from './json.ts';
import { isRetiredAt, type LogVkey, parseLogVkey } from './log-keys.ts';
import { type NoteSigner, parseVkey, type Vkey } from './signed-note.ts';
import { parseStrict } from './strict-json.ts';
import { parseProof, verifyProof } from './tlog-proof.ts';

/** DSSE payload type of a receipt. */
export const RECEIPT_TYPE = 'application/vnd.holdfast.receipt.v1+json';
export const RECEIPT_MAX_BYTES = 1_048_576;

/** What may become of an update at a site. */
const RESULTS = ['applied', 'refused', 'held', 'rejected', 'lapsed'] as const;

/** What is in force at a site after an import. */
export interface InForce {
  update_id: string;
  serial: number;
  repository: { root: number; timestamp: number; snapshot: number; targets: number };
  environments: Record<string, { name: string; version: number; digest: string }>;
}

/** A site's answer to an import: what became of it, and the ledger entry that says so, with its proof. */
export interface Receipt {
  v: 1;
  site: string;
  profile: string;
  /** `held` waits for signatures or for its time; `rejected` and `lapsed` waited and never came into force. */
  result: (typeof RESULTS)[number];
  /** Why it is not in force; null when applied. */
  code: string | null;
  reason: string | null;
  source: string | null;
  who: string | null;
  /** Log index of the entry. */
  record_id: number;
  at: string;
  time_trust: string;
  /** The update applied, or the one that stayed; null before the first. */
  in_force: InForce | null;
  /** Recent decisions that the update would have changed, as recorded; null when unknown. */
  flips: JsonObject | null;
  /** Signed note of the ledger, verbatim. */
  checkpoint: string;
  /** C2SP tlog-proof of the entry under that checkpoint, entry included. */
  proof: string;
}

/** A receipt that its site signed and its ledger bears out. */
export interface VerifiedReceipt {
  receipt: Receipt;
  entry: Entry;
  /** Size of the ledger under the checkpoint. */
  size: number;
}

/** The receipt as a DSSE envelope by the ledger's key. Same receipt, same text (Ed25519 draws nothing). */
export function signReceipt(receipt: Receipt, signer: NoteSigner): string {
  const payload = canonicalBytes(receipt as unknown as JsonObject);
  const keyid = keyidOf(parseVkey(signer.vkey));
  return `${signEnvelope(RECEIPT_TYPE, payload, [{ keyid, sign: signer.sign }])}\n`;
}

/**
 * Verifies a receipt with a site's public keys alone: the envelope's signature, the proof of the entry under a checkpoint
 * of the site's log, and that the receipt says what the entry says. Throws BoundaryError: `receipt.unknown_key` when no
 * known key claims it, `receipt.mismatch` when it says other than its entry, and those of DSSE, proof and entry.
 */
export function verifyReceipt(
  text: string,
  trust: { site: string; vkeys: readonly LogVkey[] },
): VerifiedReceipt {
  const envelope = parseEnvelope(text);
  const keys = trust.vkeys.map(parseLogVkey);
  assertKnownKey(envelope, keys.map(keyidOf));
  const readBy = (signers: readonly Vkey[]): Receipt => {
    const publicKeys = signers.map(({ publicKey }) => publicKey);
    return parseReceipt(
      verifyEnvelope(envelope, { payloadType: RECEIPT_TYPE, keys: publicKeys, threshold: 1 }),
    );
  };
  const receipt = readBy(keys);
  if (receipt.site !== trust.site) throw mismatch('it is of another site');
  const { leaf, index, checkpoint } = verifyProof(receipt.proof, { vkeys: keys });
  const current = keys.filter((key) => !isRetiredAt(key, checkpoint.size));
  if (current.length < keys.length) assertKnownKey(envelope, current.map(keyidOf), 'retired');
  readBy(current);
  if (parseProof(receipt.proof).checkpoint !== receipt.checkpoint)
    throw mismatch('its checkpoint is not that of its proof');
  const entry = decodeEntry(leaf);
  assertSame(receipt, entry, index);
  return { receipt, entry, size: checkpoint.size };
}

function keyidOf({ name, keyId }: Vkey): string {
  return `${name}+${keyId}`;
}

const KEY_WORDS = {
  unknown:
    'The receipt is signed by a key that the trust file does not name. Get the trust file of the site that it is from; if that changed its key since, a newer one.',
  retired:
    'The receipt is signed by a key that was rotated out before the checkpoint in it was made: whoever signed it has an old key. Do not rely on it.',
} as const;

/** `keyid` decides nothing but the words: whether a key is not known here, or its signature does not match. */
function assertKnownKey(
  { signatures }: DsseEnvelope,
  known: readonly string[],
  words: keyof typeof KEY_WORDS = 'unknown',
): void {
  if (signatures.some(({ keyid }) => keyid === null || known.includes(keyid))) return;
  throw new BoundaryError('receipt.unknown_key', KEY_WORDS[words]);
}

function parseReceipt(payload: Uint8Array): Receipt {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(payload);
  const value = parseStrict(text, { maxBytes: RECEIPT_MAX_BYTES, maxDepth: 8 });
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value.v !== 1)
    throw malformed('is no receipt of a version known here');
  const texts = ['site', 'profile', 'at', 'time_trust', 'checkpoint', 'proof'] as const;
  for (const key of texts) if (typeof value[key] !== 'string') throw malformed(`has no text at ${key}`);
  if (!RESULTS.some((known) => known === value.result)) throw malformed('says nothing that is known here');
  const record = value.record_id;
  if (typeof record !== 'number' || !Number.isSafeInteger(record)) throw malformed('names no entry');
  return value as unknown as Receipt;
}

/** A receipt adds nothing to its entry but what is in force where it is not the update itself. */
function assertSame(receipt: Receipt, entry: Entry, index: number): void {
  const { data } = entry;
  const applied = receipt.result === 'applied';
  const pairs: [string, unknown, unknown][] = [
    ['result', `policy.${receipt.result}`, entry.type],
    ['record_id', receipt.record_id, index],
    ['site', receipt.site, entry.site],
    ['at', receipt.at, entry.at],
    ['time_trust', receipt.time_trust, entry.time_trust],
    ['source', receipt.source, data.source ?? null],
    ['who', receipt.who, data.who ?? null],
    ['code', receipt.code, data.code ?? null],
    ['reason', receipt.reason, data.reason ?? null],
    ['flips', receipt.flips, data.flips ?? null],
  ];
  if (applied) pairs.push(['in_force', receipt.in_force, recordedInForce(entry)]);
  for (const [member, said, recorded] of pairs)
    if (!sameJson(said, recorded)) throw mismatch(`its ${member} is not what the entry says`);
}

/** What a `policy.applied` entry put in force. */
export function inForceOf({ data }: Entry): InForce {
  const { update_id, site_target, repository, environments } = data as unknown as InForce & {
    site_target: { serial: number };
  };
  return { update_id, serial: site_target.serial, repository, environments };
}

/** The same of an entry by a site that may lie. */
function recordedInForce(entry: Entry): InForce {
  const { site_target: target } = entry.data;
  if (typeof target === 'object' && target !== null) return inForceOf(entry);
  throw mismatch('its entry does not say what was applied');
}

/** Members that are absent count as null: whoever signs may leave out what it likes. */
function sameJson(a: unknown, b: unknown): boolean {
  const bytes = (value: unknown) =>
    Buffer.from(canonicalBytes(JSON.parse(JSON.stringify({ value: value ?? null })) as JsonObject));
  return bytes(a).equals(bytes(b));
}

function mismatch(what: string): BoundaryError {
  return new BoundaryError('receipt.mismatch', `The receipt contradicts itself: ${what}. Do not rely on it.`);
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('receipt.malformed', `The file ${what}.`);
}
