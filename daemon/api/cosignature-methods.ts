import { Type } from 'typebox';
import { COSIGNED_MAX_BYTES } from '../formats/cosignature.ts';
import type { Method } from './method.ts';
import * as reply from './replies.ts';

/* What the method table says about witnesses. */

const closed = { additionalProperties: false } as const;

/** Query parameter of what is given out under a checkpoint. */
export const Cosigned = Type.Literal('true', {
  description:
    'the newest checkpoint that the witnesses of trust/tlog-policy cosigned, instead of the newest of all',
});

export const COSIGNATURE_METHODS: readonly Method[] = [
  {
    name: 'anchors.cosignatures',
    kind: 'host',
    summary:
      "Take in a cosigned checkpoint: this log's signature and the witnesses' are verified, and what is new is recorded.",
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/anchors/cosignatures' },
    body: Type.Object(
      {
        note: Type.String({
          minLength: 1,
          maxLength: COSIGNED_MAX_BYTES,
          description: 'the checkpoint as a note, cosignature lines at its end (C2SP tlog-cosignature)',
        }),
      },
      closed,
    ),
    reply: reply.Anything,
  },
];
