import { BoundaryError } from './boundary-error.ts';
import { fromBase64, toBase64, toHex } from './digest.ts';
import { isStrictPublicKey, verifyEd25519 } from './ed25519.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';

/** An envelope (DSSE v1.0.2). The payload is parsed only after it was verified. */
export interface DsseEnvelope {
  payloadType: string;
  payload: Uint8Array;
  /** `keyid` is an unauthenticated hint. */
  signatures: { keyid: string | null; sig: Uint8Array }[];
}

/** Signs the pre-authentication encoding; `keyid` is only a hint to verifiers. */
export interface DsseSigner {
  keyid: string;
  sign(message: Uint8Array): Uint8Array;
}

const MAX_ENVELOPE_BYTES = 16 * 1024 * 1024;
const MAX_SIGNATURES = 64;

/** Pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(body) SP body`, lengths in bytes. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  const header = `DSSEv1 ${Buffer.byteLength(payloadType, 'utf8')} ${payloadType} ${payload.length} `;
  return new Uint8Array(Buffer.concat([Buffer.from(header, 'utf8'), payload]));
}

/**
 * Parses envelope JSON; standard and URL-safe base64 are accepted, as the protocol demands. Unknown members are ignored.
 * Throws `BoundaryError` `dsse.malformed` or one of `parseStrict`.
 */
export function parseEnvelope(text: string): DsseEnvelope {
  const value = parseStrict(text, { maxBytes: MAX_ENVELOPE_BYTES, maxDepth: 8 });
  if (!isObject(value) || typeof value.payloadType !== 'string' || !Array.isArray(value.signatures)) {
    throw malformed('lacks payloadType or signatures');
  }
  if (value.signatures.length < 1 || value.signatures.length > MAX_SIGNATURES) {
    throw malformed(`must have 1 to ${MAX_SIGNATURES} signatures`);
  }
  return {
    payloadType: value.payloadType,
    payload: decode(value.payload, '/payload'),
    signatures: value.signatures.map(parseSignature),
  };
}

/** Envelope JSON over a payload, one signature per signer. */
export function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly DsseSigner[],
): string {
  const message = pae(payloadType, payload);
  const signatures = signers.map(({ keyid, sign }) => ({ keyid, sig: toBase64(sign(message)) }));
  return JSON.stringify({ payload: toBase64(payload), payloadType, signatures });
}

/** An envelope with one more signature; one under the same keyid is replaced. Text for a file that people look at. */
export function addSignature(
  { payloadType, payload, signatures }: DsseEnvelope,
  { keyid, sign }: DsseSigner,
): string {
  const others = signatures.filter((signature) => signature.keyid !== keyid);
  const all = [...others, { keyid, sig: sign(pae(payloadType, payload)) }];
  const written = all.map(({ keyid: id, sig }) => ({
    ...(id === null ? {} : { keyid: id }),
    sig: toBase64(sig),
  }));
  return `${JSON.stringify({ payload: toBase64(payload), payloadType, signatures: written }, null, 2)}\n`;
}

/**
 * Verifies an envelope against raw Ed25519 keys: signatures of at least `threshold` different keys must match.
 * Signatures by others are ignored. Returns the payload. Throws `BoundaryError` `dsse.type` when the payload is of
 * another type than expected, `dsse.threshold`.
 */
export function verifyEnvelope(
  envelope: DsseEnvelope,
  expected: { payloadType: string; keys: readonly Uint8Array[]; threshold: number },
): Uint8Array {
  const { payloadType, threshold } = expected;
  if (!Number.isSafeInteger(threshold) || threshold < 1) {
    throw new RangeError('a threshold is at least 1');
  }
  if (envelope.payloadType !== payloadType) {
    throw new BoundaryError('dsse.type', `The envelope does not hold ${payloadType}.`);
  }
  const message = pae(envelope.payloadType, envelope.payload);
  // By key bytes: a key listed twice, or two signatures of one key, count once.
  const keys = new Map(expected.keys.filter(isStrictPublicKey).map((key) => [toHex(key), key]));
  const signed = [...keys.values()].filter((key) =>
    envelope.signatures.some(({ sig }) => verifyEd25519(sig, message, key)),
  );
  if (signed.length < threshold) {
    throw new BoundaryError(
      'dsse.threshold',
      `The envelope is signed by ${signed.length} of the known keys; ${threshold} are needed.`,
    );
  }
  return envelope.payload;
}

function parseSignature(value: Json): DsseEnvelope['signatures'][number] {
  if (!isObject(value)) {
    throw malformed('has a signature that is not an object');
  }
  const { keyid, sig } = value;
  if (keyid !== undefined && keyid !== null && typeof keyid !== 'string') {
    throw malformed('has a keyid that is not a string');
  }
  return { keyid: keyid ?? null, sig: decode(sig, '/signatures') };
}

function decode(value: Json | undefined, at: string): Uint8Array {
  if (typeof value !== 'string') {
    throw malformed(`has no base64 at ${at}`);
  }
  const standard = value.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
  try {
    return fromBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, '='));
  } catch (cause) {
    throw new BoundaryError('dsse.malformed', `The envelope has no base64 at ${at}.`, { at, cause });
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('dsse.malformed', `The envelope ${what}.`);
}
