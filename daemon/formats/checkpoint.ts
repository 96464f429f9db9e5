import { BoundaryError } from './boundary-error.ts';
import { DIGEST_BYTES, equalBytes, fromBase64, toBase64 } from './digest.ts';
import { EMPTY_ROOT } from './merkle.ts';
import { openNote, TYPE_ED25519, type VerifiedSignature, type VkeyLike } from './signed-note.ts';

/** A tree head (C2SP tlog-checkpoint). */
export interface Checkpoint {
  origin: string;
  /** Entries in the tree. */
  size: number;
  /** 32-byte RFC 6962 root. */
  root: Uint8Array;
}

/** A checkpoint whose log signature holds. */
export interface OpenedCheckpoint extends Checkpoint {
  /** The signed text, byte for byte. */
  text: string;
  /** Every known signature that verified: the log's own and witnesses'. */
  verified: VerifiedSignature[];
}

/** What a verifier must know beforehand. Without `origin`, the name of the log's vkey stands for it. */
export interface CheckpointTrust {
  origin?: string;
  vkeys: readonly VkeyLike[];
}

/** Note text of a checkpoint: origin, size, root. No extension lines: witnesses assert nothing about them. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`;
}

/**
 * Parses note text. Extension lines are skipped, as the spec demands of clients that do not know them.
 * Throws `BoundaryError` `checkpoint.malformed`.
 */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) {
    throw malformed('does not end with a newline');
  }
  const [origin, size, root, ...extensions] = text.slice(0, -1).split('\n');
  if (origin === undefined || origin === '' || size === undefined || root === undefined) {
    throw malformed('lacks origin, size or root');
  }
  if (extensions.includes('')) {
    throw malformed('has an empty extension line');
  }
  const entries = parseDecimal(size);
  if (entries === null) {
    throw malformed('has a size that is not a plain decimal below 2^53');
  }
  const hash = decodeRoot(root);
  if (entries === 0 && !equalBytes(hash, EMPTY_ROOT)) {
    throw malformed('is of an empty tree but has another root');
  }
  return { origin, size: entries, root: hash };
}

/**
 * Opens a signed checkpoint: known signatures verify, at least one of them is a log's own (0x01), and the origin is
 * the expected one. Throws `BoundaryError`: those of `openNote`, `checkpoint.malformed`, `checkpoint.not_signed_by_log`,
 * `checkpoint.origin_mismatch`.
 */
export function openCheckpoint(note: string | Uint8Array, trust: CheckpointTrust): OpenedCheckpoint {
  const { text, verified } = openNote(note, trust.vkeys);
  const checkpoint = parseCheckpoint(text);
  const logs = verified.filter((signature) => signature.type === TYPE_ED25519);
  if (logs.length === 0) {
    throw new BoundaryError(
      'checkpoint.not_signed_by_log',
      'The checkpoint is cosigned, but not signed by its log.',
    );
  }
  const expected = trust.origin === undefined ? logs.map((signature) => signature.name) : [trust.origin];
  if (!expected.includes(checkpoint.origin)) {
    throw new BoundaryError(
      'checkpoint.origin_mismatch',
      `The checkpoint is of ${checkpoint.origin}; expected ${expected.join(' or ')}.`,
    );
  }
  return { ...checkpoint, text, verified };
}

/** ASCII decimal without sign or leading zeros, below 2^53; null for anything else. */
export function parseDecimal(text: string): number | null {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) {
    return null;
  }
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}

function decodeRoot(text: string): Uint8Array {
  try {
    const root = fromBase64(text);
    if (root.length === DIGEST_BYTES) {
      return root;
    }
  } catch {
    // Falls through: both defects are the same to the reader.
  }
  throw malformed('has a root that is not the base64 of 32 bytes');
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('checkpoint.malformed', `The checkpoint ${what}.`);
}
