import { hash, timingSafeEqual } from 'node:crypto';
import { BoundaryError } from './boundary-error.ts';

/** Length of a SHA-256 digest in bytes. */
export const DIGEST_BYTES = 32;

const HEX = /^(?:[0-9a-f]{2})*$/;
const HEX_DIGEST = /^[0-9a-f]{64}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** SHA-256 (FIPS 180-4); a string is hashed as UTF-8. Exactly what `@noble/hashes` computes, natively. */
export function sha256(data: Uint8Array | string): Uint8Array {
  const digest = hash('sha256', data, 'buffer');
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength);
}

/** SHA-256 written to `target` at `at`: for many small inputs, where a buffer for each digest costs more than the hash. */
export function sha256Into(data: Uint8Array, target: Buffer, at: number): void {
  target.write(hash('sha256', data, 'binary'), at, 'latin1');
}

/** Lower-case hex SHA-256, the form of digests on the wire. */
export function sha256Hex(data: Uint8Array | string): string {
  return hash('sha256', data, 'hex');
}

/** SHA-512; only SSHSIG and Ed25519 ask for it. */
export function sha512(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hash('sha512', data, 'buffer'));
}

/** Whether a value is a lower-case hex SHA-256. */
export function isHexDigest(value: unknown): value is string {
  return typeof value === 'string' && HEX_DIGEST.test(value);
}

/** Equality in time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  return view(bytes).toString('hex');
}

/** Strict: lower case, whole bytes, nothing else. Throws `BoundaryError` `hex.malformed`. */
export function fromHex(text: string): Uint8Array {
  if (!HEX.test(text)) {
    throw new BoundaryError('hex.malformed', 'Expected an even number of lower-case hex digits.');
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** RFC 4648 §4, with padding. */
export function toBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}

/**
 * Strict RFC 4648 §4: padding present, no whitespace, unused bits zero (§3.5), so that one value has one encoding.
 * Throws `BoundaryError` `base64.malformed`.
 */
export function fromBase64(text: string): Uint8Array {
  if (BASE64.test(text)) {
    const bytes = Buffer.from(text, 'base64');
    if (bytes.toString('base64') === text) {
      return new Uint8Array(bytes);
    }
  }
  throw new BoundaryError('base64.malformed', 'Expected standard base64 with padding.');
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
