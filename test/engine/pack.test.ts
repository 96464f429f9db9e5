import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packReplies, unpackReply } from '../../daemon/engine/pack.ts';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constant('😀é'.repeat(50)));
const reply = fc.record({
  status: fc.constantFrom(200, 202, 409),
  body: fc.oneof(
    text,
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
});

test('replies come out as they went in, whatever bytes they hold', () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 20 }), (replies) => {
      const packed = packReplies(replies);
      replies.forEach(({ status, body }, index) => {
        const out = unpackReply(packed, index);
        expect(out.status).toBe(status);
        expect(Buffer.from(out.body).equals(Buffer.from(body as string))).toBe(true);
      });
    }),
  );
});
