import { BoundaryError } from './boundary-error.ts';
import { canonicalBytes } from './canonical-json.ts';
import { isHexDigest } from './digest.ts';
import { type DsseEnvelope, parseEnvelope, signEnvelope, verifyEnvelope } from './dsse.ts';
import type { Json, JsonObject } from './json.ts';
import { type NoteSigner, parseVkey, type Vkey } from './signed-note.ts';
import { parseStrict } from './strict-json.ts';

/*
 * in-toto Statement v1 in a DSSE envelope: "whoever holds this key says `predicate` of the files with these digests".
 */

/** DSSE payload type of every in-toto statement. */
export const IN_TOTO_TYPE = 'application/vnd.in-toto+json';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_SUBJECTS = 32_768;

/** A file that the statement is about. */
export interface Subject {
  name: string;
  /** Hex SHA-256. */
  sha256: string;
}

/** An in-toto Statement v1, as far as it is used here. */
export interface Statement {
  subject: Subject[];
  predicateType: string;
  predicate: JsonObject;
}

/** The statement's JSON, in one form. */
export function statementBytes({ subject, predicateType, predicate }: Statement): Uint8Array {
  return canonicalBytes({
    _type: STATEMENT_TYPE,
    subject: subject.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType,
    predicate,
  });
}

/** The statement under the signature of a log's key, as a DSSE envelope. Same statement, same text. */
export function signStatement(statement: Statement, signer: NoteSigner): string {
  const keyid = keyidOf(parseVkey(signer.vkey));
  return `${signEnvelope(IN_TOTO_TYPE, statementBytes(statement), [{ keyid, sign: signer.sign }])}\n`;
}

/**
 * The statement in an envelope that one of `keys` signed, with the key that did. Throws `BoundaryError`
 * `in_toto.unknown_key` when none of them claims to have, those of DSSE, and `in_toto.malformed`.
 */
export function openStatement(text: string, keys: readonly Vkey[]): { statement: Statement; key: Vkey } {
  const envelope = parseEnvelope(text);
  const claimed = keys.filter((key) => claims(envelope, keyidOf(key)));
  if (claimed.length === 0)
    throw new BoundaryError(
      'in_toto.unknown_key',
      `The statement is signed by ${envelope.signatures[0]?.keyid?.slice(0, 200) ?? 'a key without a name'}, which is not among the keys believed here.`,
    );
  const key = claimed.find((one) => hasSigned(envelope, one));
  if (key === undefined)
    throw new BoundaryError('in_toto.bad_signature', 'The signature does not match the statement.');
  return { statement: parseStatement(envelope.payload), key };
}

/** Reads a statement. Members that are not known are skipped, as the specification demands. Throws `in_toto.malformed`. */
export function parseStatement(payload: Uint8Array): Statement {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(payload);
  const value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 12 });
  if (!isObject(value) || value._type !== STATEMENT_TYPE) throw malformed('is no in-toto Statement v1');
  const { subject, predicateType, predicate } = value;
  if (typeof predicateType !== 'string' || !isObject(predicate)) throw malformed('has no predicate');
  if (!Array.isArray(subject) || subject.length === 0 || subject.length > MAX_SUBJECTS)
    throw malformed('has no subjects, or too many');
  return { subject: subject.map(parseSubject), predicateType, predicate };
}

function parseSubject(value: Json): Subject {
  const digest = isObject(value) ? value.digest : undefined;
  const sha256 = isObject(digest) ? digest.sha256 : undefined;
  if (!isObject(value) || typeof value.name !== 'string' || !isHexDigest(sha256))
    throw malformed('has a subject without name or SHA-256');
  return { name: value.name, sha256 };
}

/** `keyid` is a hint: it decides which words are used, never whether something holds. */
function claims({ signatures }: DsseEnvelope, id: string): boolean {
  return signatures.some(({ keyid }) => keyid === null || keyid === id);
}

function hasSigned(envelope: DsseEnvelope, { publicKey }: Vkey): boolean {
  try {
    verifyEnvelope(envelope, { payloadType: IN_TOTO_TYPE, keys: [publicKey], threshold: 1 });
    return true;
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'dsse.threshold') return false;
    throw error;
  }
}

function keyidOf({ name, keyId }: Vkey): string {
  return `${name}+${keyId}`;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('in_toto.malformed', `The statement ${what}.`);
}
