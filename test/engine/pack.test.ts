import fc from 'fast-check';
import { expect, test } from 'vitest';
import { completeReply } from '../../daemon/engine/complete.ts';
import { packReplies, unpackReply } from '../../daemon/engine/pack.ts';
import { type DraftReply, textOf } from '../../daemon/engine/protocol.ts';
import { formatProof } from '../../daemon/formats/tlog-proof.ts';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constant('😀é'.repeat(50)));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const CHECKPOINT = 'outpost-7.example/ledger\n4\nAAAA\n\n— sig\n';
const permit = fc.record({
  index: fc.nat(),
  entry: fc.uint8Array({ minLength: 1 }),
  path: fc.array(hash, { maxLength: 5 }),
  checkpoint: fc.constant(CHECKPOINT),
});
const reply = fc
  .record({
    status: fc.constantFrom(200, 202, 409),
    body: fc.oneof(
      text,
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    ),
    permit: fc.option(permit, { nil: undefined }),
  })
  .map(({ permit: parts, ...rest }): DraftReply => (parts === undefined ? rest : { ...rest, permit: parts }));

test('replies come out as they went in, whatever bytes they hold', () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 20 }), (replies) => {
      const packed = packReplies(replies);
      replies.forEach(({ status, body, permit: parts }, index) => {
        const out = unpackReply(packed, index);
        expect(out.status).toBe(status);
        expect(out.permit).toEqual(parts);
        const proof = parts && formatProof({ ...parts, extra: parts.entry, proof: parts.path });
        const tail = proof === undefined ? '' : `,"proof":${JSON.stringify(proof)}}}`;
        expect(textOf(completeReply(out))).toBe(Buffer.from(body as string).toString() + tail);
        expect(Buffer.from(out.body).equals(Buffer.from(body as string))).toBe(true);
      });
    }),
  );
});
