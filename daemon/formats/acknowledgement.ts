import { BoundaryError } from './boundary-error.ts';
import { canonicalBytes } from './canonical-json.ts';
import { isHexDigest, sha256Hex, toBase64 } from './digest.ts';
import { type DsseEnvelope, parseEnvelope, signEnvelope, verifyEnvelope } from './dsse.ts';
import type { Json, JsonObject } from './json.ts';
import { type NoteSigner, parseVkey, type Vkey } from './signed-note.ts';
import { parseStrict } from './strict-json.ts';

/*
 * Headquarters' word that a file of a site's outbox has arrived: the site may then stop keeping it. Generic on purpose:
 * receipts, anchors and whatever comes later are acknowledged alike, by the digest of their bytes.
 */

/** DSSE payload type of an acknowledgement. */
export const ACKNOWLEDGEMENT_TYPE = 'application/vnd.holdfast.acknowledgement.v1+json';
export const ACKNOWLEDGEMENT_MAX_BYTES = 65_536;
/** One suffices; more than this is a flood. */
const MAX_SIGNATURES = 4;
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,499}$/;
const SITE = /^[a-z0-9][a-z0-9./_-]{0,199}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** What headquarters says. */
export interface Acknowledgement {
  v: 1;
  /** Origin of the site whose outbox it is about: what one site sent says nothing about another's files. */
  site: string;
  /** What the file was called, for people. Which file is meant, the digest says. */
  file: string;
  /** Hex SHA-256 of the file's bytes. */
  sha256: string;
  /** RFC 3339 UTC, by headquarters' clock. */
  received_at: string;
}

/** One that a known key signed, with what proves it. */
export interface VerifiedAcknowledgement {
  acknowledgement: Acknowledgement;
  /** Verifier key that it holds under. */
  vkey: string;
  /** Ed25519 over the DSSE encoding of the canonical payload, base64. */
  signature: string;
}

/** Name of the file that carries the acknowledgement of contents with this digest. */
export function acknowledgementName(digest: string): string {
  return `${digest}.json`;
}

/** The envelope's text. Same words, same key, same text (Ed25519 draws nothing). */
export function signAcknowledgement(acknowledgement: Acknowledgement, signer: NoteSigner): string {
  const keyid = keyidOf(parseVkey(signer.vkey));
  const payload = payloadOf(acknowledgement);
  return `${signEnvelope(ACKNOWLEDGEMENT_TYPE, payload, [{ keyid, sign: signer.sign }])}\n`;
}

/**
 * Verifies an acknowledgement for `site` under headquarters' keys (vkeys); one of them must have signed. Throws
 * BoundaryError `acknowledgement.unknown_key`, `acknowledgement.bad_signature`, `acknowledgement.wrong_site`,
 * `acknowledgement.malformed`.
 */
export function verifyAcknowledgement(
  text: string,
  { site, keys }: { site: string; keys: readonly string[] },
): VerifiedAcknowledgement {
  const envelope = readEnvelope(text);
  const known = keys.map((key) => parseVkey(key));
  // The hint only chooses which key to try: each signature costs one verification, whatever a file claims.
  const claimed = envelope.signatures.flatMap((signature) => {
    const key = known.find((one) => keyidOf(one) === signature.keyid);
    return key === undefined ? [] : [{ key, signature }];
  });
  if (claimed.length === 0) throw unknownKey();
  for (const { key, signature } of claimed) {
    const one = { ...envelope, signatures: [signature] };
    if (!holds(one, key)) continue;
    const acknowledgement = parseAcknowledgement(envelope.payload);
    if (acknowledgement.site !== site) throw wrongSite(acknowledgement.site, site);
    return { acknowledgement, vkey: key.text, signature: toBase64(signature.sig) };
  }
  throw new BoundaryError(
    'acknowledgement.bad_signature',
    "The acknowledgement's signature does not match; nothing was deleted. Ask headquarters to make it again.",
  );
}

function readEnvelope(text: string): DsseEnvelope {
  let envelope: DsseEnvelope;
  try {
    envelope = parseEnvelope(text);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw malformed('is no signed envelope', cause);
  }
  if (envelope.payloadType !== ACKNOWLEDGEMENT_TYPE)
    throw malformed('is a signed envelope of something else');
  if (envelope.signatures.length > MAX_SIGNATURES)
    throw malformed(`has more than ${MAX_SIGNATURES} signatures`);
  return envelope;
}

function holds(envelope: DsseEnvelope, { publicKey }: Vkey): boolean {
  try {
    verifyEnvelope(envelope, { payloadType: ACKNOWLEDGEMENT_TYPE, keys: [publicKey], threshold: 1 });
    return true;
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'dsse.threshold') return false;
    throw error;
  }
}

/** How a key is named in envelopes and entries: `name+id`, the start of its vkey. */
export function keyidOf({ name, keyId }: Vkey): string {
  return `${name}+${keyId}`;
}

function payloadOf({ v, site, file, sha256, received_at }: Acknowledgement): Uint8Array {
  return canonicalBytes({ v, site, file, sha256, received_at });
}

/** Strict, and canonical: what is recorded of it must give the signed bytes again. */
function parseAcknowledgement(payload: Uint8Array): Acknowledgement {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(payload);
  const value = readJson(text);
  if (!isObject(value) || value.v !== 1) throw malformed('is of no version known here');
  const { site, file, sha256, received_at } = value;
  if (typeof site !== 'string' || !SITE.test(site)) throw malformed('names no site');
  if (typeof file !== 'string' || !FILE_NAME.test(file)) throw malformed('names no file');
  if (!isHexDigest(sha256)) throw malformed('has no SHA-256');
  if (typeof received_at !== 'string' || !INSTANT.test(received_at) || Number.isNaN(Date.parse(received_at)))
    throw malformed('does not say when');
  const acknowledgement: Acknowledgement = { v: 1, site, file, sha256: String(sha256), received_at };
  if (sha256Hex(payload) !== sha256Hex(payloadOf(acknowledgement))) throw malformed('is not canonical JSON');
  return acknowledgement;
}

function readJson(text: string): Json {
  try {
    return parseStrict(text, { maxBytes: ACKNOWLEDGEMENT_MAX_BYTES, maxDepth: 2 });
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw malformed('is no JSON', cause);
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unknownKey(): BoundaryError {
  return new BoundaryError(
    'acknowledgement.unknown_key',
    'The acknowledgement is signed by no key that the policy in force names for headquarters (section headquarters); nothing was deleted. Bring in the newest policy first, or ask headquarters which key it used.',
  );
}

function wrongSite(other: string, site: string): BoundaryError {
  return new BoundaryError(
    'acknowledgement.wrong_site',
    `The acknowledgement is for ${other}; this is ${site}. Nothing was deleted.`,
  );
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'acknowledgement.malformed',
    `The acknowledgement ${what}; nothing was deleted. Ask headquarters to make it again.`,
    { cause },
  );
}
