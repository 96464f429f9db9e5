import { BoundaryError } from './boundary-error.ts';
import { fromBase64, sha256, toBase64, toHex } from './digest.ts';
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifyEd25519 } from './ed25519.ts';

/** C2SP signed-note, "Signature types". */
export const TYPE_ED25519 = 0x01;
/** C2SP tlog-cosignature: timestamped Ed25519 witness cosignature. */
export const TYPE_COSIGNATURE = 0x04;

/** Verifiers must accept 16 signatures; more than this is a flood. */
const MAX_SIGNATURES = 64;
const MAX_NOTE_BYTES = 1 << 20;
const MAX_VKEY_LENGTH = 8192;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A parsed verifier key. `keyId` is 8 hex digits. */
export interface Vkey {
  readonly name: string;
  readonly keyId: string;
  readonly type: typeof TYPE_ED25519 | typeof TYPE_COSIGNATURE;
  readonly publicKey: Uint8Array;
  /** The vkey as written. */
  readonly text: string;
}

/** Where a verifier key is wanted, its text will do. */
export type VkeyLike = string | Vkey;

/** One signature line; not verified. */
export interface NoteSignature {
  name: string;
  keyId: string;
  /** Without the key id: 64 bytes for Ed25519, timestamp and 64 bytes for a cosignature. */
  signature: Uint8Array;
}

/** Signs note text; the private key stays behind this. `name` is the vkey's. */
export interface NoteSigner {
  readonly name: string;
  readonly vkey: string;
  sign(text: Uint8Array): Uint8Array;
}

/** A signature by a known key that holds. */
export interface VerifiedSignature {
  name: string;
  /** Text of the vkey. */
  vkey: string;
  type: Vkey['type'];
  /** Unix seconds of a cosignature, null for a plain signature. */
  timestamp: number | null;
}

/** A note whose text may be believed, as far as its signers are. */
export interface OpenedNote {
  /** The signed text, including its final newline. */
  text: string;
  verified: VerifiedSignature[];
  /** Signatures by keys that are not among the known ones. */
  unknown: number;
}

/** Key id: SHA-256(name || 0x0A || type || public key), first 4 bytes, as 8 hex digits. */
export function keyId(name: string, type: number, publicKey: Uint8Array): string {
  const prefix = encoder.encode(`${name}\n`);
  const input = new Uint8Array(prefix.length + 1 + publicKey.length);
  input.set(prefix);
  input[prefix.length] = type;
  input.set(publicKey, prefix.length + 1);
  return toHex(sha256(input).subarray(0, 4));
}

/** `name+keyid+base64(type || public key)`. Throws `BoundaryError` `vkey.malformed` for a name that no note can carry. */
export function formatVkey(name: string, publicKey: Uint8Array, type: Vkey['type'] = TYPE_ED25519): string {
  if (!isKeyName(name)) {
    throw new BoundaryError('vkey.malformed', 'A key name must not be empty or hold spaces or "+".');
  }
  return `${name}+${keyId(name, type, publicKey)}+${toBase64(Uint8Array.of(type, ...publicKey))}`;
}

/**
 * Parses a verifier key. Throws `BoundaryError`: `vkey.malformed`, `vkey.key_id` (the embedded id is not that of the
 * key), `vkey.unsupported` (a type other than Ed25519 and cosignature/v1).
 */
export function parseVkey(text: string): Vkey {
  const match =
    text.length > MAX_VKEY_LENGTH ? null : /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(text);
  const [, name, id, encoded] = match ?? [];
  if (name === undefined || id === undefined || encoded === undefined || !isKeyName(name)) {
    throw new BoundaryError('vkey.malformed', 'A vkey has the form name+8 hex digits+base64.');
  }
  const bytes = fromBase64(encoded);
  const type = bytes[0];
  if (type === undefined || id !== keyId(name, type, bytes.subarray(1))) {
    throw new BoundaryError('vkey.key_id', `The key id of the vkey of ${name} does not belong to its key.`);
  }
  if (type !== TYPE_ED25519 && type !== TYPE_COSIGNATURE) {
    throw new BoundaryError(
      'vkey.unsupported',
      `Signature type ${type} of the vkey of ${name} is not supported.`,
    );
  }
  if (bytes.length !== 1 + PUBLIC_KEY_BYTES) {
    throw new BoundaryError('vkey.malformed', `The vkey of ${name} does not hold a 32-byte key.`);
  }
  return { name, keyId: id, type, publicKey: bytes.subarray(1), text };
}

/**
 * Splits a note into text and signatures, with every rule of the format; nothing is verified yet.
 * Throws `BoundaryError` `note.malformed`, `note.too_large`, `note.too_many_signatures`.
 */
export function parseNote(note: string | Uint8Array): { text: string; signatures: NoteSignature[] } {
  const whole = noteText(note);
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) {
    throw malformed('has no blank line before its signatures');
  }
  const block = whole.slice(split + 2);
  if (block === '' || !block.endsWith('\n')) {
    throw malformed('does not end with a signature line');
  }
  const lines = block.slice(0, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) {
    throw new BoundaryError(
      'note.too_many_signatures',
      `The note has more than ${MAX_SIGNATURES} signatures.`,
    );
  }
  return { text: whole.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/**
 * Verifies a note against known keys: signatures by unknown keys are ignored, a known key whose signature fails
 * rejects the note, and at least one must verify. Throws `BoundaryError` `note.bad_signature`,
 * `note.no_known_signature`, those of `parseNote` and, for the keys, those of `parseVkey`.
 */
export function openNote(note: string | Uint8Array, vkeys: readonly VkeyLike[]): OpenedNote {
  const { text, signatures } = parseNote(note);
  const known = new Map<string, Vkey>();
  for (const like of vkeys) {
    const vkey = typeof like === 'string' ? parseVkey(like) : like;
    known.set(`${vkey.name}+${vkey.keyId}`, vkey);
  }
  const verified = new Map<Vkey, VerifiedSignature>();
  let unknown = 0;
  for (const signature of signatures) {
    const vkey = known.get(`${signature.name}+${signature.keyId}`);
    if (vkey === undefined) {
      unknown += 1;
      continue;
    }
    const timestamp = verifyNoteSignature(text, signature.signature, vkey);
    if (timestamp === undefined) {
      throw new BoundaryError('note.bad_signature', `The signature by ${vkey.name} does not match the note.`);
    }
    verified.set(vkey, { name: vkey.name, vkey: vkey.text, type: vkey.type, timestamp });
  }
  if (verified.size === 0) {
    throw new BoundaryError('note.no_known_signature', 'The note carries no signature by a known key.');
  }
  return { text, verified: [...verified.values()], unknown };
}

/** Signs text (which must end with a newline) with plain Ed25519 keys (0x01), in the order given. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  if (!text.endsWith('\n') || !isNoteText(text)) {
    throw new RangeError('note text must end with a newline and hold no control characters');
  }
  const bytes = encoder.encode(text);
  let note = `${text}\n`;
  for (const signer of signers) {
    note += signatureLine(signer.name, signerKeyId(signer), signer.sign(bytes));
  }
  return note;
}

/** What a cosignature/v1 signs: a header with the time, then the whole checkpoint text. */
export function cosignatureMessage(text: string, timestamp: number): Uint8Array {
  return encoder.encode(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** A witness's signature line over checkpoint text at `timestamp` (Unix seconds); its vkey is of type 0x04. */
export function cosignatureLine(text: string, signer: NoteSigner, timestamp: number): string {
  const signature = new Uint8Array(8 + SIGNATURE_BYTES);
  new DataView(signature.buffer).setBigUint64(0, BigInt(timestamp));
  signature.set(signer.sign(cosignatureMessage(text, timestamp)), 8);
  return signatureLine(signer.name, signerKeyId(signer), signature);
}

/** A plain signature verifies to null, a cosignature to its time; undefined is "does not verify". */
function verifyNoteSignature(text: string, signature: Uint8Array, vkey: Vkey): number | null | undefined {
  if (vkey.type === TYPE_ED25519) {
    return verifyEd25519(signature, encoder.encode(text), vkey.publicKey) ? null : undefined;
  }
  if (signature.length !== 8 + SIGNATURE_BYTES) {
    return undefined;
  }
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) {
    return undefined;
  }
  const timestamp = Number(time);
  const message = cosignatureMessage(text, timestamp);
  return verifyEd25519(signature.subarray(8), message, vkey.publicKey) ? timestamp : undefined;
}

const signerKeyIds = new WeakMap<NoteSigner, string>();

function signerKeyId(signer: NoteSigner): string {
  let id = signerKeyIds.get(signer);
  if (id === undefined) {
    const vkey = parseVkey(signer.vkey);
    if (vkey.name !== signer.name) {
      throw new RangeError(`signer ${signer.name} carries the vkey of ${vkey.name}`);
    }
    id = vkey.keyId;
    signerKeyIds.set(signer, id);
  }
  return id;
}

function signatureLine(name: string, id: string, signature: Uint8Array): string {
  return `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}\n`;
}

function parseSignatureLine(line: string): NoteSignature {
  const match = /^— ([^ ]+) ([A-Za-z0-9+/=]+)$/u.exec(line);
  const [, name, encoded] = match ?? [];
  if (name === undefined || encoded === undefined || !isKeyName(name)) {
    throw malformed('has a line among its signatures that is not one');
  }
  const bytes = fromBase64(encoded);
  if (bytes.length < 5) {
    throw malformed('has a signature line without a signature');
  }
  return { name, keyId: toHex(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
}

function noteText(note: string | Uint8Array): string {
  if (note.length > MAX_NOTE_BYTES) {
    throw new BoundaryError('note.too_large', `The note has more than ${MAX_NOTE_BYTES} bytes.`);
  }
  let text: string;
  try {
    text = typeof note === 'string' ? note : decoder.decode(note);
  } catch {
    throw malformed('is not UTF-8');
  }
  if (!isNoteText(text)) {
    throw malformed('holds control characters or broken Unicode');
  }
  return text;
}

function isNoteText(text: string): boolean {
  return !/[\u0000-\u0009\u000b-\u001f]/.test(text) && text.isWellFormed();
}

/** "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus characters." */
function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}+\u0000-\u001f]/u.test(name) && name.isWellFormed();
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('note.malformed', `The signed note ${what}.`);
}
