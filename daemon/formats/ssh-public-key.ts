import { BoundaryError } from './boundary-error.ts';
import { fromBase64, sha256, toBase64 } from './digest.ts';
import { PUBLIC_KEY_BYTES } from './ed25519.ts';
import { concat, SshReader, sshString } from './ssh-wire.ts';

/** Key types, as they stand in keys and signatures. */
export const ED25519 = 'ssh-ed25519';
export const SK_ED25519 = 'sk-ssh-ed25519@openssh.com';
export const SK_ECDSA = 'sk-ecdsa-sha2-nistp256@openssh.com';
export const RSA = 'ssh-rsa';

/** One line of a `.pub` file or of a policy's principal. */
export interface SshPublicKey {
  type: string;
  /** RFC 4253 §6.6 encoding; the key's identity. */
  blob: Uint8Array;
  comment: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  fingerprint: string;
}

/** The parts of a key that signatures are verified with. */
export type SshKeyParts =
  | { kind: 'ed25519'; publicKey: Uint8Array; application: Uint8Array | null }
  | { kind: 'ecdsa'; curve: EcCurve; x: Uint8Array; y: Uint8Array; application: Uint8Array | null }
  | { kind: 'rsa'; n: Uint8Array; e: Uint8Array };

/** An RFC 5656 curve; `hash` is the one its signatures use, `bytes` the length of a coordinate. */
export interface EcCurve {
  /** RFC 5656 name, as in the key type. */
  name: 'nistp256' | 'nistp384' | 'nistp521';
  jwk: 'P-256' | 'P-384' | 'P-521';
  hash: 'sha256' | 'sha384' | 'sha512';
  bytes: number;
}

const CURVES: readonly EcCurve[] = [
  { name: 'nistp256', jwk: 'P-256', hash: 'sha256', bytes: 32 },
  { name: 'nistp384', jwk: 'P-384', hash: 'sha384', bytes: 48 },
  { name: 'nistp521', jwk: 'P-521', hash: 'sha512', bytes: 66 },
];

const MAX_LINE = 16 * 1024;

/** Parses `type base64 [comment]`. Throws `BoundaryError` `sshkey.malformed`. Options before the type are refused. */
export function parsePublicKeyLine(line: string): SshPublicKey {
  const match =
    line.length > MAX_LINE ? null : /^(\S+) +([A-Za-z0-9+/=]+)(?:[ \t]+([^\r\n]*))?\r?\n?$/.exec(line);
  const [, type, encoded, comment] = match ?? [];
  if (type === undefined || encoded === undefined) {
    throw malformed('must read: type base64 [comment]');
  }
  const blob = fromBase64(encoded);
  if (publicKeyType(blob) !== type) {
    throw malformed('names another type than its key has');
  }
  return { type, blob, comment: (comment ?? '').trim(), fingerprint: fingerprint(blob) };
}

/** `SHA256:` and unpadded base64 of the blob's digest. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${toBase64(sha256(blob)).replace(/=+$/, '')}`;
}

/** The key type that a blob starts with. Throws `BoundaryError` `sshkey.malformed`. */
export function publicKeyType(blob: Uint8Array): string {
  return new SshReader(blob, 'sshkey.malformed').text();
}

/** Blob of a plain Ed25519 key. */
export function ed25519Blob(publicKey: Uint8Array): Uint8Array {
  return concat(sshString(ED25519), sshString(publicKey));
}

/** Takes a blob apart; null for key types that are not supported. Throws `BoundaryError` `sshkey.malformed`. */
export function parseKeyBlob(blob: Uint8Array): SshKeyParts | null {
  const reader = new SshReader(blob, 'sshkey.malformed');
  const parts = readParts(reader, reader.text());
  if (parts !== null) {
    reader.end();
  }
  return parts;
}

function readParts(reader: SshReader, type: string): SshKeyParts | null {
  if (type === ED25519 || type === SK_ED25519) {
    const publicKey = reader.string();
    if (publicKey.length !== PUBLIC_KEY_BYTES) {
      throw malformed('does not hold 32 bytes');
    }
    return { kind: 'ed25519', publicKey, application: type === SK_ED25519 ? reader.string() : null };
  }
  if (type === RSA) {
    const e = reader.positiveInteger();
    return { kind: 'rsa', e, n: reader.positiveInteger() };
  }
  const curve = CURVES.find(
    ({ name }) => type === `ecdsa-sha2-${name}` || (type === SK_ECDSA && name === 'nistp256'),
  );
  return curve === undefined ? null : readEcdsa(reader, curve, type === SK_ECDSA);
}

/** RFC 5656 §3.1: the curve's name again, then the uncompressed point. */
function readEcdsa(reader: SshReader, curve: EcCurve, securityKey: boolean): SshKeyParts {
  const name = reader.text();
  const point = reader.string();
  if (name !== curve.name || point.length !== 1 + 2 * curve.bytes || point[0] !== 4) {
    throw malformed('is not an uncompressed point of its curve');
  }
  return {
    kind: 'ecdsa',
    curve,
    x: point.subarray(1, 1 + curve.bytes),
    y: point.subarray(1 + curve.bytes),
    application: securityKey ? reader.string() : null,
  };
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('sshkey.malformed', `The SSH public key ${what}.`);
}
