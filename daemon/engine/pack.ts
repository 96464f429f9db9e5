import type { EngineReply } from './protocol.ts';

/** The replies of a batch as they cross to the main thread: reply `i` is `bodies` up to `ends[i]` from where the last ended. */
export interface PackedReplies {
  statuses: number[];
  ends: number[];
  bodies: Uint8Array<ArrayBuffer>;
}

const encoder = new TextEncoder();

/** Lays the bodies end to end as UTF-8, in a buffer of their own that can be transferred. */
export function packReplies(replies: readonly EngineReply[]): PackedReplies {
  const statuses = replies.map(({ status }) => status);
  const ends: number[] = [];
  // Most bodies are ASCII, one byte a character; others make it grow.
  let bodies = new Uint8Array(replies.reduce((sum, { body }) => sum + body.length, 0));
  let end = 0;
  const put = (bytes: Uint8Array): void => {
    if (end + bytes.length > bodies.length) bodies = grown(bodies, end + bytes.length);
    bodies.set(bytes, end);
    end += bytes.length;
  };
  for (const { body } of replies) {
    if (typeof body === 'string') {
      const { read, written } = encoder.encodeInto(body, bodies.subarray(end));
      end += written;
      if (read < body.length) put(encoder.encode(body.slice(read)));
    } else {
      put(body);
    }
    ends.push(end);
  }
  return { statuses, ends, bodies };
}

function grown(bodies: Uint8Array, needed: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(needed, 2 * bodies.length));
  larger.set(bodies);
  return larger;
}

/** Takes one reply out again; the bytes stay where they are. */
export function unpackReply(packed: PackedReplies, index: number): EngineReply {
  const start = index === 0 ? 0 : (packed.ends[index - 1] ?? 0);
  const end = packed.ends[index] ?? start;
  const { buffer, byteOffset } = packed.bodies;
  return {
    status: packed.statuses[index] ?? 500,
    body: Buffer.from(buffer, byteOffset + start, end - start),
  };
}
