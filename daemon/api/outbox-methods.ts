import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';

/* Rows of the method table about what leaves the site. */

const closed = { additionalProperties: false } as const;

export const OUTBOX_METHODS: readonly Method[] = [
  {
    name: 'outbox.acknowledgements',
    kind: 'host',
    summary:
      "Take headquarters' acknowledgements from acknowledgements/ of a directory that the daemon can read; what is acknowledged leaves the outbox.",
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/outbox/acknowledgements' },
    body: Type.Object(
      {
        path: Type.String({
          minLength: 1,
          maxLength: 4_096,
          description: 'absolute path of the directory that holds acknowledgements/',
        }),
      },
      closed,
    ),
    reply: reply.Anything,
  },
];
