import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { SignedActBody } from './schemas.ts';

/* Rows of the method table about an update that waits to be put in force. */

const closed = { additionalProperties: false } as const;
const UpdateId = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'id of the update that waits' });

export const HELD_METHODS: readonly Method[] = [
  {
    name: 'policy.held',
    kind: 'engine',
    summary: 'The update that waits to be put in force: for whom, until when; null when none does.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/policy/held' },
    reply: reply.Anything,
  },
  {
    name: 'policy.release',
    kind: 'engine',
    summary:
      'Submit a signed act about the update that waits: its release or rejection. It counts by its signature, whoever carries it.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/policy/held/{id}/release' },
    path: Type.Object({ id: UpdateId }, closed),
    body: SignedActBody,
    reply: reply.Anything,
  },
];
