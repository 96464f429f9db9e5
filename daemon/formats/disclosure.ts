import { BoundaryError } from './boundary-error.ts';
import { isCommitment, openCommitment, SALT_BYTES } from './commitment.ts';
import { fromBase64 } from './digest.ts';
import { decodeEntry, type Entry } from './entry.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';
import type { LogTrust } from './tlog-policy.ts';
import { type VerifiedProof, verifyProof } from './tlog-proof.ts';

const TYPE = 'holdfast/disclosure/v1';
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_FIELDS = 64;
const MEMBERS = 'decision_id,proof,type,values';

/**
 * Sensitive values of a decision, shown to somebody outside: salt and value of each field, and the proof of the entry that
 * holds their commitments (C2SP tlog-proof with the entry's bytes). What is not in it stays hidden.
 */
export interface Disclosure {
  decision_id: string;
  /** By payload field; `salt` is base64 of 32 bytes. */
  values: Record<string, { salt: string; value: Json }>;
  proof: string;
}

/** A disclosure whose values are those of the record. */
export interface VerifiedDisclosure {
  entry: Entry;
  index: number;
  checkpoint: VerifiedProof['checkpoint'];
  values: Record<string, Json>;
}

/** The text of a disclosure's file. */
export function formatDisclosure(disclosure: Disclosure): string {
  return `${JSON.stringify({ type: TYPE, ...disclosure }, null, 2)}\n`;
}

/**
 * Holds a disclosure against the log: the entry is in it, it is the decision's own, and each value is what its commitment was
 * made of. Throws `BoundaryError` `disclosure.malformed`, `disclosure.mismatch` (with `at`), and those of `verifyProof`.
 */
export function verifyDisclosure(text: string, trust: LogTrust): VerifiedDisclosure {
  const { decision_id, values, proof } = parseDisclosure(text);
  const { index, leaf, checkpoint } = verifyProof(proof, trust);
  const entry = decodeEntry(leaf);
  const payload = payloadOf(entry);
  if (entry.stream !== decision_id || entry.seq !== 0 || payload === null) {
    throw mismatch('decision_id', 'its proof is of an entry that is not the decision’s own');
  }
  const verified: Record<string, Json> = {};
  for (const [field, { salt, value }] of Object.entries(values)) {
    const commitment = Object.hasOwn(payload, field) ? payload[field] : undefined;
    if (!isCommitment(commitment)) throw mismatch(field, 'the record has no commitment for it');
    if (!openCommitment(commitment, saltOf(salt, field), value)) {
      throw mismatch(field, 'salt and value are not those that the record commits to');
    }
    verified[field] = value;
  }
  return { entry, index, checkpoint, values: verified };
}

/** Reads the file strictly; nothing in it is believed. Throws `BoundaryError` `disclosure.malformed`. */
export function parseDisclosure(text: string): Disclosure {
  let value: Json;
  try {
    value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 20 });
  } catch (cause) {
    throw malformed('is not JSON', cause);
  }
  if (!isObject(value) || Object.keys(value).sort().join() !== MEMBERS || value.type !== TYPE) {
    throw malformed(`must have exactly the members ${MEMBERS}, and the type ${TYPE}`);
  }
  const { decision_id, values, proof } = value;
  if (typeof decision_id !== 'string' || typeof proof !== 'string' || !isObject(values)) {
    throw malformed('has members of the wrong type');
  }
  const fields = Object.values(values);
  if (fields.length === 0 || fields.length > MAX_FIELDS || !fields.every(isOpening)) {
    throw malformed(`must hold 1 to ${MAX_FIELDS} values, each with its salt`);
  }
  return { decision_id, proof, values: values as Disclosure['values'] };
}

function isOpening(value: Json): boolean {
  return (
    isObject(value) && Object.keys(value).sort().join() === 'salt,value' && typeof value.salt === 'string'
  );
}

function saltOf(text: string, field: string): Uint8Array {
  let salt: Uint8Array;
  try {
    salt = fromBase64(text);
  } catch (cause) {
    throw malformed(`has a salt of ${field.slice(0, 64)} that is not base64`, cause);
  }
  if (salt.length !== SALT_BYTES) throw malformed(`has a salt of ${field.slice(0, 64)} of the wrong length`);
  return salt;
}

function payloadOf({ data }: Entry): JsonObject | null {
  const { action } = data;
  return isObject(action) && isObject(action.payload) ? action.payload : null;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError('disclosure.malformed', `The disclosure ${what}; nothing in it was believed.`, {
    cause,
  });
}

function mismatch(at: string, what: string): BoundaryError {
  return new BoundaryError(
    'disclosure.mismatch',
    `The disclosure is not true to the record at ${at.slice(0, 64)}: ${what}.`,
    { at },
  );
}
