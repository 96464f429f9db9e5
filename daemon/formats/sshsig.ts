import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { BoundaryError } from './boundary-error.ts';
import { equalBytes, sha256, sha512 } from './digest.ts';
import { PUBLIC_KEY_BYTES, signEd25519, verifyEd25519 } from './ed25519.ts';
import {
  ED25519,
  ed25519Blob,
  fingerprint,
  parseKeyBlob,
  publicKeyType,
  RSA,
  SK_ECDSA,
  type SshKeyParts,
} from './ssh-public-key.ts';
import { armor, concat, SshReader, sshString, sshUint32, unarmor } from './ssh-wire.ts';
import { webauthnMessage } from './webauthn.ts';

export { parsePublicKeyLine, type SshPublicKey } from './ssh-public-key.ts';

const LABEL = 'SSH SIGNATURE';
const MAGIC = new TextEncoder().encode('SSHSIG');
const VERSION = 1;
/** Room for hybrid post-quantum keys and signatures, far below anything that could hurt. */
const MAX_ARMOR = 64 * 1024;
const NOTHING = new Uint8Array(0);
/** Shorter moduli are not secure any more (NIST SP 800-131A). */
const MIN_RSA_BYTES = 256;
const MAX_RSA_BYTES = 2048;

/** A parsed SSHSIG (PROTOCOL.sshsig); nothing is verified yet. */
export interface SshSignature {
  publicKey: Uint8Array;
  namespace: string;
  reserved: Uint8Array;
  hash: 'sha256' | 'sha512';
  /** Type, then data of that type. */
  signature: Uint8Array;
}

/**
 * `malformed`: no SSHSIG, or one with broken parts. `wrong_namespace`, `wrong_key`: genuine perhaps, for something
 * else. `unsupported`: key or signature type that is not implemented. `weak_key`: RSA below 2048 bits.
 * `bad_signature`: does not match the message.
 */
export type SshSignatureDefect =
  | 'malformed'
  | 'wrong_namespace'
  | 'wrong_key'
  | 'unsupported'
  | 'weak_key'
  | 'bad_signature';

/** Which key signed, or why the signature counts for nothing. */
export type SshVerification =
  | {
      ok: true;
      /** Fingerprint, `SHA256:…`. */
      key: string;
      /** Key type, e.g. `ssh-ed25519`. */
      type: string;
      /** Key blob. */
      publicKey: Uint8Array;
      /** FIDO keys only: bit 0 user present, bit 2 user verified. */
      flags?: number;
      /** FIDO keys only. */
      counter?: number;
    }
  | { ok: false; code: SshSignatureDefect };

/** What was signed, and for what; the armor as it came. */
export interface SshVerificationInput {
  armor: string;
  message: Uint8Array;
  namespace: string;
  /** Blob of the only key that counts; without it, the answer says which key signed. */
  key?: Uint8Array;
}

/** Takes an armored signature apart. Throws `BoundaryError` `sshsig.malformed`. */
export function parseSshSignature(text: string): SshSignature {
  const bytes = unarmor(LABEL, text, MAX_ARMOR);
  if (bytes === null) {
    throw malformed('is not an armored SSH signature');
  }
  const reader = new SshReader(bytes, 'sshsig.malformed');
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC) || reader.uint32() !== VERSION) {
    throw malformed('is not of version 1');
  }
  const publicKey = reader.string();
  const namespace = reader.text();
  const reserved = reader.string();
  const hash = reader.text();
  const signature = reader.string();
  reader.end();
  if (namespace === '') {
    throw malformed('has no namespace');
  }
  if (hash !== 'sha256' && hash !== 'sha512') {
    throw malformed('uses a hash other than sha256 and sha512');
  }
  return { publicKey, namespace, reserved, hash, signature };
}

/**
 * Verifies an SSHSIG over a message. Says whether and by which key; whether that key counts, and what its touch flags
 * must be, is the caller's policy. Never throws for what is in the armor.
 */
export function verifySshSignature(input: SshVerificationInput): SshVerification {
  try {
    return verifyParsed(parseSshSignature(input.armor), input);
  } catch (error) {
    if (error instanceof BoundaryError) {
      return { ok: false, code: 'malformed' };
    }
    throw error;
  }
}

/** What a signature says beside the message: by which key, for what. */
export interface SshSignatureHead {
  /** Key blob. */
  publicKey: Uint8Array;
  namespace: string;
}

/** The bytes that a key signs for an SSHSIG over a message (hash `sha512`), for keys that sign elsewhere. */
export function sshsigToSign({ namespace, message }: { namespace: string; message: Uint8Array }): Uint8Array {
  return signedBytes({ namespace, reserved: NOTHING, hash: 'sha512' }, message);
}

/** The armor around a signature that a key made over `sshsigToSign`: its type, then data of that type. */
export function formatSshSignature(head: SshSignatureHead, signature: Uint8Array): string {
  const { publicKey, namespace } = head;
  if (namespace === '') {
    throw new RangeError('an SSHSIG needs a namespace');
  }
  const parts = tail({ namespace, reserved: NOTHING, hash: 'sha512' });
  return armor(LABEL, concat(MAGIC, sshUint32(VERSION), sshString(publicKey), parts, sshString(signature)));
}

/** Signs a message with an Ed25519 key as `ssh-keygen -Y sign` does; returns the armor. */
export function signSshsig(input: {
  seed: Uint8Array;
  publicKey: Uint8Array;
  namespace: string;
  message: Uint8Array;
}): string {
  const { seed, publicKey, namespace, message } = input;
  if (namespace === '' || publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new RangeError('an SSHSIG needs a namespace and a 32-byte public key');
  }
  const signature = signEd25519(seed, sshsigToSign({ namespace, message }));
  return formatSshSignature(
    { publicKey: ed25519Blob(publicKey), namespace },
    concat(sshString(ED25519), sshString(signature)),
  );
}

function verifyParsed(parsed: SshSignature, input: SshVerificationInput): SshVerification {
  if (parsed.namespace !== input.namespace) {
    return { ok: false, code: 'wrong_namespace' };
  }
  if (input.key !== undefined && !equalBytes(parsed.publicKey, input.key)) {
    return { ok: false, code: 'wrong_key' };
  }
  const type = publicKeyType(parsed.publicKey);
  const key = parseKeyBlob(parsed.publicKey);
  const reader = new SshReader(parsed.signature, 'sshsig.malformed');
  const signatureType = reader.text();
  if (key === null || !matches(signatureType, type)) {
    return { ok: false, code: 'unsupported' };
  }
  const message = signedBytes(parsed, input.message);
  const found = verifyWithKey(key, signatureType, reader, message);
  if (typeof found === 'string') {
    return { ok: false, code: found };
  }
  return { ok: true, key: fingerprint(parsed.publicKey), type, publicKey: parsed.publicKey, ...found };
}

/** Which signature types a key type may make; never the SHA-1 `ssh-rsa` (PROTOCOL.sshsig). */
function matches(signatureType: string, keyType: string): boolean {
  if (keyType === RSA) {
    return signatureType === 'rsa-sha2-256' || signatureType === 'rsa-sha2-512';
  }
  return signatureType === keyType || (keyType === SK_ECDSA && signatureType === `webauthn-${SK_ECDSA}`);
}

type KeyVerdict = { flags?: number; counter?: number } | SshSignatureDefect;

function verifyWithKey(key: SshKeyParts, type: string, reader: SshReader, message: Uint8Array): KeyVerdict {
  const signature = reader.string();
  if (key.kind === 'rsa') {
    reader.end();
    return verifyRsa(key, type, signature, message);
  }
  if (key.application === null) {
    reader.end();
    return verifyCurve(key, signature, message) ? {} : 'bad_signature';
  }
  const flags = reader.byte();
  const counter = reader.uint32();
  // PROTOCOL.u2f: a security key signs digests of application and message, around flags and counter.
  const digest = type.startsWith('webauthn-')
    ? webauthnMessage(reader, flags, message)
    : { extensions: new Uint8Array(0), hash: sha256(message) };
  reader.end();
  if (digest === null) {
    return 'bad_signature';
  }
  const signed = concat(
    sha256(key.application),
    Uint8Array.of(flags),
    sshUint32(counter),
    digest.extensions,
    digest.hash,
  );
  return verifyCurve(key, signature, signed) ? { flags, counter } : 'bad_signature';
}

function verifyCurve(
  key: Exclude<SshKeyParts, { kind: 'rsa' }>,
  signature: Uint8Array,
  message: Uint8Array,
): boolean {
  if (key.kind === 'ed25519') {
    return verifyEd25519(signature, message, key.publicKey);
  }
  const { curve } = key;
  // RFC 5656 §3.1.2: r and s as mpints.
  const reader = new SshReader(signature, 'sshsig.malformed');
  const r = reader.positiveInteger();
  const s = reader.positiveInteger();
  reader.end();
  if (r.length > curve.bytes || s.length > curve.bytes) {
    return false;
  }
  const raw = new Uint8Array(2 * curve.bytes);
  raw.set(r, curve.bytes - r.length);
  raw.set(s, 2 * curve.bytes - s.length);
  const publicKey = importEcdsa(key);
  return (
    publicKey !== null && verify(curve.hash, message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)
  );
}

/** Whether an ECDSA key is a point of its curve: any other verifies nothing. */
export function isCurvePoint(key: Extract<SshKeyParts, { kind: 'ecdsa' }>): boolean {
  return importEcdsa(key) !== null;
}

function importEcdsa({ curve, x, y }: Extract<SshKeyParts, { kind: 'ecdsa' }>): KeyObject | null {
  return importKey({ kty: 'EC', crv: curve.jwk, x: base64url(x), y: base64url(y) });
}

/** RFC 8332: PKCS #1 v1.5 with SHA-2. */
function verifyRsa(
  key: Extract<SshKeyParts, { kind: 'rsa' }>,
  type: string,
  signature: Uint8Array,
  message: Uint8Array,
): KeyVerdict {
  if (key.n.length < MIN_RSA_BYTES) {
    return 'weak_key';
  }
  if (key.n.length > MAX_RSA_BYTES || key.e.length > 8) {
    return 'unsupported';
  }
  const publicKey = importKey({ kty: 'RSA', n: base64url(key.n), e: base64url(key.e) });
  const hash = type === 'rsa-sha2-256' ? 'sha256' : 'sha512';
  return publicKey !== null && verify(hash, message, publicKey, signature) ? {} : 'bad_signature';
}

/** Null when the numbers make no key, e.g. a point that is not on its curve. */
function importKey(jwk: Record<string, string>): KeyObject | null {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return null;
  }
}

/** PROTOCOL.sshsig: what the key signs is the message's digest, bound to namespace and hash. */
function signedBytes(bound: Bound, message: Uint8Array): Uint8Array {
  const digest = bound.hash === 'sha512' ? sha512(message) : sha256(message);
  return concat(MAGIC, tail(bound), sshString(digest));
}

type Bound = Pick<SshSignature, 'namespace' | 'reserved' | 'hash'>;

function tail({ namespace, reserved, hash }: Bound): Uint8Array {
  return concat(sshString(namespace), sshString(reserved), sshString(hash));
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('sshsig.malformed', `The text ${what}.`);
}
