import { formatProof } from '../formats/tlog-proof.ts';
import type { DraftReply, EngineReply } from './protocol.ts';

const END = Buffer.from('"}}');

/** The reply with its permit's proof printed, if that was left open. */
export function completeReply({ status, body, permit }: DraftReply): EngineReply {
  if (permit === undefined) return { status, body };
  const { index, entry, path } = permit;
  // All of a proof before its checkpoint is ASCII. The dash of the signature line is not, and would make one long string
  // of two-byte characters out of everything: so the checkpoint joins as bytes.
  const proof = `,"proof":"${escaped(formatProof({ index, extra: entry, proof: path, checkpoint: '' }))}`;
  const checkpoint = checkpointBytes(permit.checkpoint);
  const head = typeof body === 'string' ? Buffer.from(body) : body;
  const whole = Buffer.allocUnsafe(head.length + proof.length + checkpoint.length + END.length);
  head.copy(whole);
  whole.write(proof, head.length, 'latin1');
  checkpoint.copy(whole, head.length + proof.length);
  END.copy(whole, whole.length - END.length);
  return { status, body: whole };
}

/** A proof holds no character that JSON escapes, except the ends of its lines. */
function escaped(text: string): string {
  return text.replaceAll('\n', '\\n');
}

let lastCheckpoint = '';
let lastBytes = Buffer.alloc(0);

/** The checkpoint as it stands in JSON. The replies of a batch share one, so the newest is kept. */
function checkpointBytes(checkpoint: string): Buffer {
  if (checkpoint !== lastCheckpoint) {
    lastBytes = Buffer.from(escaped(checkpoint));
    lastCheckpoint = checkpoint;
  }
  return lastBytes;
}
