import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import * as schema from './schemas.ts';

/* Rows of the method table about anchors: tree heads that leave the site. */

const closed = { additionalProperties: false } as const;
const actor = Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 128 }), Type.Null()]));

export const ANCHOR_METHODS: readonly Method[] = [
  {
    name: 'anchors.export',
    // By the process, because the file must lie in the outbox when this is answered.
    kind: 'host',
    summary:
      'Export the newest tree head as an anchor (C2SP tlog-witness add-checkpoint), proven to continue the one before. It goes to the outbox; the answer holds it too.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/anchors' },
    body: Type.Object({}, closed),
    reply: reply.Anything,
  },
  {
    name: 'anchors.list',
    kind: 'engine',
    summary: 'The chain of anchors, newest first.',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/anchors' },
    query: Type.Object({ before: Type.Optional(schema.Index), limit: Type.Optional(schema.Limit) }, closed),
    reply: reply.Anything,
  },
  {
    name: 'anchors.from',
    kind: 'engine',
    summary:
      'An add-checkpoint request for whoever knows the tree of `old` entries, up to the newest tree head or to that of `size`.',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/anchors/{old}' },
    path: Type.Object({ old: schema.Index }, closed),
    query: Type.Object({ size: Type.Optional(schema.Index) }, closed),
    reply: 'text',
  },
  {
    name: 'anchors.carry',
    kind: 'host',
    summary:
      'Take along the anchors that a medium lacks, into holdfast-anchors/ of a directory that the daemon can write to.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/anchors/carry' },
    body: Type.Object(
      {
        path: Type.String({
          minLength: 1,
          maxLength: 4_096,
          description: 'absolute path of the directory of the medium',
        }),
        actor,
      },
      closed,
    ),
    reply: reply.Anything,
  },
  {
    name: 'anchors.carried',
    kind: 'engine',
    summary: 'Record that anchors up to a size were taken to a medium.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/anchors/carried' },
    body: Type.Object(
      {
        size: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
        actor,
      },
      closed,
    ),
    reply: reply.Anything,
  },
];
