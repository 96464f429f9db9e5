import { BoundaryError } from './boundary-error.ts';
import { type Checkpoint, parseCheckpoint, parseDecimal } from './checkpoint.ts';
import { DIGEST_BYTES, fromBase64, toBase64 } from './digest.ts';
import { EMPTY_ROOT, verifyConsistency } from './merkle.ts';
import { parseNote } from './signed-note.ts';

/** C2SP tlog-witness, "add-checkpoint": the proof has at most 63 lines. */
const MAX_PROOF = 63;
/** A checkpoint with some cosignatures has a few kilobytes; so has the longest proof. */
export const ANCHOR_MAX_BYTES = 64 * 1024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What leaves a site so that its history cannot be changed unnoticed: the body of an `add-checkpoint` request (C2SP tlog-witness). */
export interface Anchor {
  /** Size of the tree that the proof starts from: that of the anchor before; 0 for the first. */
  readonly old: number;
  /** RFC 6962 consistency proof from `old` to the checkpoint's size; empty when `old` is 0. */
  readonly proof: readonly Uint8Array[];
  /** The signed note, verbatim. */
  readonly checkpoint: string;
}

/** Text of the request body; its UTF-8 bytes are the anchor file. */
export function formatAnchor({ old, proof, checkpoint }: Anchor): string {
  return `old ${old}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${checkpoint}`;
}

/**
 * Takes an anchor apart, strictly: nothing of it is verified yet, neither signature nor proof. Throws `BoundaryError`
 * `anchor.malformed`, and for its checkpoint `note.*`.
 */
export function parseAnchor(file: string | Uint8Array): Anchor {
  if (file.length > ANCHOR_MAX_BYTES) throw malformed(`has more than ${ANCHOR_MAX_BYTES} bytes`);
  const text = typeof file === 'string' ? file : decode(file);
  // The first blank line ends the proof: none of the lines before it may be empty.
  const end = text.indexOf('\n\n');
  const [first, ...hashes] = end < 0 ? [] : text.slice(0, end).split('\n');
  const old = parseDecimal(/^old (.+)$/.exec(first ?? '')?.[1] ?? '');
  if (old === null) throw malformed('does not begin with "old", a size, its proof and a blank line');
  if (hashes.length > MAX_PROOF) throw malformed(`has a proof of more than ${MAX_PROOF} hashes`);
  const proof = hashes.map(hashOf);
  // "If the old size is zero, the consistency proof MUST be empty."
  if (old === 0 && proof.length > 0) throw malformed('proves something from the empty tree on');
  const checkpoint = text.slice(end + 2);
  const { size } = anchorHead({ checkpoint });
  if (old > size) throw malformed(`goes back from ${old} to ${size} entries`);
  return { old, proof, checkpoint };
}

/** The tree head that an anchor carries, its signatures unverified. Throws `BoundaryError` `note.*`, `checkpoint.malformed`. */
export function anchorHead({ checkpoint }: Pick<Anchor, 'checkpoint'>): Checkpoint {
  return parseCheckpoint(parseNote(checkpoint).text);
}

/** Whether the anchor's tree continues a tree of `old` entries with this root. The root of size 0 is known: leave it out. */
export function continues(anchor: Anchor, oldRoot: Uint8Array = EMPTY_ROOT): boolean {
  const { size, root } = anchorHead(anchor);
  return verifyConsistency(anchor.old, size, anchor.proof, oldRoot, root);
}

/** Digits of sizes in names: 10^12 entries, so that names sort as sizes do. */
const NAME_DIGITS = 12;

/** Name of the file in the outbox and on media: `<old>-<size>.anchor`, so that a carrier finds the one that it needs by name. */
export function anchorName({ old, size }: { old: number; size: number }): string {
  return `${digits(old)}-${digits(size)}.anchor`;
}

/** The sizes in a name that `anchorName` made; null for any other name. What the file says may differ. */
export function parseAnchorName(name: string): { old: number; size: number } | null {
  const [, old, size] = /^(\d{12})-(\d{12})\.anchor$/.exec(name) ?? [];
  return old === undefined || size === undefined ? null : { old: Number(old), size: Number(size) };
}

function digits(size: number): string {
  return String(size).padStart(NAME_DIGITS, '0');
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw malformed('is not UTF-8', cause);
  }
}

function hashOf(line: string): Uint8Array {
  try {
    const hash = fromBase64(line);
    if (hash.length === DIGEST_BYTES) return hash;
  } catch {
    // Falls through: both defects are the same to the reader.
  }
  throw malformed('has a line in its proof that is not the base64 of 32 bytes');
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError('anchor.malformed', `The anchor ${what}.`, { cause });
}
