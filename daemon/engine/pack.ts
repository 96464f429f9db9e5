import { DIGEST_BYTES } from '../formats/digest.ts';
import type { DraftReply } from './protocol.ts';

/**
 * The replies of a batch as they cross to the main thread. `bytes` holds, end to end, each reply's body and, where its
 * permit's proof is still to be printed, the entry and the hashes of the audit path; `ends` holds where each of these
 * three parts of each reply ends.
 */
export interface PackedReplies {
  statuses: number[];
  /** Log index of the permit's entry; -1 without one. */
  indexes: number[];
  ends: number[];
  /** The batch's one checkpoint; empty when no reply has a permit. */
  checkpoint: string;
  bytes: Uint8Array<ArrayBuffer>;
}

const PARTS = 3;
const encoder = new TextEncoder();

/** Lays the replies end to end, in a buffer of their own that can be transferred. */
export function packReplies(replies: readonly DraftReply[]): PackedReplies {
  const ends: number[] = [];
  // Most bodies are ASCII, one byte a character; others make it grow.
  let bytes = new Uint8Array(replies.reduce((sum, reply) => sum + sizeOf(reply), 0));
  let end = 0;
  const put = (part: Uint8Array): void => {
    if (end + part.length > bytes.length) bytes = grown(bytes, end + part.length);
    bytes.set(part, end);
    end += part.length;
  };
  for (const { body, permit } of replies) {
    if (typeof body === 'string') {
      const { read, written } = encoder.encodeInto(body, bytes.subarray(end));
      end += written;
      if (read < body.length) put(encoder.encode(body.slice(read)));
    } else {
      put(body);
    }
    ends.push(end);
    if (permit !== undefined) put(permit.entry);
    ends.push(end);
    for (const hash of permit?.path ?? []) put(hash);
    ends.push(end);
  }
  return {
    statuses: replies.map(({ status }) => status),
    indexes: replies.map(({ permit }) => permit?.index ?? -1),
    ends,
    checkpoint: replies.find(({ permit }) => permit !== undefined)?.permit?.checkpoint ?? '',
    bytes,
  };
}

function sizeOf({ body, permit }: DraftReply): number {
  return permit === undefined
    ? body.length
    : body.length + permit.entry.length + permit.path.length * DIGEST_BYTES;
}

function grown(bytes: Uint8Array, needed: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(needed, 2 * bytes.length));
  larger.set(bytes);
  return larger;
}

/** Takes one reply out again; the bytes stay where they are. */
export function unpackReply(packed: PackedReplies, at: number): DraftReply {
  const { ends, bytes, checkpoint } = packed;
  const first = at * PARTS;
  const start = first === 0 ? 0 : (ends[first - 1] ?? 0);
  const [bodyEnd = start, entryEnd = start, pathEnd = start] = ends.slice(first, first + PARTS);
  const body = Buffer.from(bytes.buffer, bytes.byteOffset + start, bodyEnd - start);
  const status = packed.statuses[at] ?? 500;
  const index = packed.indexes[at] ?? -1;
  if (index < 0) return { status, body };
  const path: Uint8Array[] = [];
  for (let hash = entryEnd; hash < pathEnd; hash += DIGEST_BYTES) {
    path.push(bytes.subarray(hash, hash + DIGEST_BYTES));
  }
  return { status, body, permit: { index, entry: bytes.subarray(bodyEnd, entryEnd), path, checkpoint } };
}
