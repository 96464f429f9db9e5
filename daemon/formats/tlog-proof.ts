import { BoundaryError } from './boundary-error.ts';
import { type OpenedCheckpoint, parseDecimal } from './checkpoint.ts';
import { DIGEST_BYTES, fromBase64, toBase64 } from './digest.ts';
import { leafHash, verifyInclusion } from './merkle.ts';
import { type LogTrust, openTrustedCheckpoint } from './tlog-policy.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';

/** A path in a tree of 2^53 leaves has at most 53 hashes. */
const MAX_PATH = 63;
const MAX_FILE_LENGTH = 2 * 1024 * 1024;

/** The parts of a `.tlog-proof` file (C2SP tlog-proof). */
export interface TlogProof {
  index: number;
  /** Unauthenticated by itself; here the leaf's bytes, which the inclusion check then authenticates. */
  extra?: Uint8Array;
  /** Inclusion proof, leaf's sibling first. */
  proof: readonly Uint8Array[];
  /** The signed note, verbatim. */
  checkpoint: string;
}

/** What a proof proves: these bytes are this entry of the log under this checkpoint. */
export interface VerifiedProof {
  index: number;
  leaf: Uint8Array;
  checkpoint: OpenedCheckpoint;
}

/** Text of a proof file. */
export function formatProof(parts: TlogProof): string {
  let text = `${HEADER}\n`;
  if (parts.extra !== undefined) {
    text += `extra ${toBase64(parts.extra)}\n`;
  }
  text += `index ${parts.index}\n`;
  for (const hash of parts.proof) {
    text += `${toBase64(hash)}\n`;
  }
  return `${text}\n${parts.checkpoint}`;
}

/** Takes a proof file apart without verifying it. Throws `BoundaryError` `tlog_proof.malformed`. */
export function parseProof(text: string): TlogProof {
  if (text.length > MAX_FILE_LENGTH) {
    throw malformed('is too large');
  }
  // The first blank line ends the proof: none of the lines before it may be empty.
  const end = text.indexOf('\n\n');
  if (end < 0) {
    throw malformed('has no blank line before its checkpoint');
  }
  const lines = text.slice(0, end).split('\n');
  if (lines.shift() !== HEADER) {
    throw malformed(`does not start with ${HEADER}`);
  }
  const extra = lines[0]?.startsWith('extra ') ? decode(lines.shift()?.slice('extra '.length)) : undefined;
  const index = /^index (.+)$/.exec(lines.shift() ?? '')?.[1];
  const position = index === undefined ? null : parseDecimal(index);
  if (position === null) {
    throw malformed('has no proper index line');
  }
  if (lines.length > MAX_PATH) {
    throw malformed(`has more than ${MAX_PATH} hashes`);
  }
  const proof = lines.map(decode);
  if (proof.some((hash) => hash.length !== DIGEST_BYTES)) {
    throw malformed('has a hash that is not 32 bytes long');
  }
  const parts = { index: position, proof, checkpoint: text.slice(end + 2) };
  return extra === undefined ? parts : { ...parts, extra };
}

/**
 * Verifies a proof file offline: checkpoint under the trust given, then inclusion of the leaf. The leaf is
 * `leafBytes`, or, when absent, the `extra` line.
 *
 * Throws `BoundaryError`: those of `openTrustedCheckpoint`, `tlog_proof.malformed`, `tlog_proof.no_leaf`,
 * `tlog_proof.not_included`.
 */
export function verifyProof(text: string, trust: LogTrust, leafBytes?: Uint8Array): VerifiedProof {
  const { index, extra, proof, checkpoint: note } = parseProof(text);
  const leaf = leafBytes ?? extra;
  if (leaf === undefined) {
    throw new BoundaryError('tlog_proof.no_leaf', 'The proof does not carry its entry and none was given.');
  }
  const checkpoint = openTrustedCheckpoint(note, trust);
  if (!verifyInclusion(leafHash(leaf), index, checkpoint.size, proof, checkpoint.root)) {
    throw new BoundaryError(
      'tlog_proof.not_included',
      `The entry is not number ${index} of the log under its checkpoint of ${checkpoint.size} entries.`,
    );
  }
  return { index, leaf, checkpoint };
}

function decode(text: string | undefined): Uint8Array {
  try {
    return fromBase64(text ?? '');
  } catch (cause) {
    throw malformed('has a line that is not base64', cause);
  }
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError('tlog_proof.malformed', `The proof ${what}.`, { cause });
}
