import { BoundaryError } from './boundary-error.ts';
import { DIGEST_BYTES, equalBytes, fromBase64, toBase64 } from './digest.ts';
import { isKeyForSize, type LogVkey, parseLogVkey, type RangedVkey } from './log-keys.ts';
import { EMPTY_ROOT } from './merkle.ts';
import { openNote, TYPE_ED25519, type VerifiedSignature, type Vkey } from './signed-note.ts';

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
  /** Of logs with the sizes that each may sign (`LogKey`), where these are known; of witnesses without. */
  vkeys: readonly LogVkey[];
}

/** What says that nobody who may has signed a checkpoint, rather than that it is damaged. */
const NO_SIGNER: readonly string[] = [
  'note.no_known_signature',
  'checkpoint.not_signed_by_log',
  'checkpoint.key_retired',
  'checkpoint.key_early',
];

/** Whether an error is about who signed, not about what was signed. */
export function isUnknownSigner({ code }: BoundaryError): boolean {
  return NO_SIGNER.includes(code);
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
 * Opens a signed checkpoint: known signatures verify, at least one of them is a log's own (0x01) by a key that may sign
 * this size, and the origin is the expected one. Throws `BoundaryError`: those of `openNote`, `checkpoint.malformed`,
 * `checkpoint.not_signed_by_log`, `checkpoint.key_retired` and `checkpoint.key_early` (a key outside its sizes),
 * `checkpoint.origin_mismatch`.
 */
export function openCheckpoint(note: string | Uint8Array, trust: CheckpointTrust): OpenedCheckpoint {
  const keys = trust.vkeys.map(parseLogVkey);
  const { text, verified: signed } = openNote(note, keys);
  const checkpoint = parseCheckpoint(text);
  const verified = signed.filter(({ vkey }) => {
    const key = keys.find((known) => known.text === vkey);
    return key !== undefined && isKeyForSize(key, checkpoint.size);
  });
  const logs = verified.filter((signature) => signature.type === TYPE_ED25519);
  if (logs.length === 0) throw notSigned(checkpoint, signed, keys);
  const expected = trust.origin === undefined ? logs.map((signature) => signature.name) : [trust.origin];
  if (!expected.includes(checkpoint.origin)) {
    throw new BoundaryError(
      'checkpoint.origin_mismatch',
      `The checkpoint is of ${checkpoint.origin}; expected ${expected.join(' or ')}.`,
    );
  }
  return { ...checkpoint, text, verified };
}

/** No signature by a log's key counts: a witness alone signed, or a key whose time was over, or had not come. */
function notSigned(
  { size }: Checkpoint,
  signed: readonly VerifiedSignature[],
  keys: readonly (Vkey | RangedVkey)[],
): BoundaryError {
  const key = keys.find(
    ({ text, type }) => type === TYPE_ED25519 && signed.some(({ vkey }) => vkey === text),
  );
  if (key === undefined || !('from' in key)) {
    return new BoundaryError(
      'checkpoint.not_signed_by_log',
      'The checkpoint is cosigned, but not signed by its log.',
    );
  }
  const name = `${key.name}+${key.keyId}`;
  if (key.until !== null && size > key.until) {
    return new BoundaryError(
      'checkpoint.key_retired',
      `The checkpoint of size ${size} is signed by the key ${name}, which signs no more: it was rotated out, or its log closed, after size ${key.until}. Whoever signed this has an old key.`,
    );
  }
  return new BoundaryError(
    'checkpoint.key_early',
    `The checkpoint of size ${size} is signed by the key ${name}, which came into use above size ${key.from} only.`,
  );
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
