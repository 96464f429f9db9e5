import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { DecisionId, Digest } from './schemas.ts';

/* Rows of the method table about how long what was recorded stays where. */

const closed = { additionalProperties: false } as const;
const actor = Type.Optional(
  Type.Object(
    {
      id: Type.String({ minLength: 1, maxLength: 128 }),
      role: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 64 })])),
    },
    closed,
  ),
);
const words = (description: string) => Type.String({ minLength: 1, maxLength: 500, description });
const HoldBody = Type.Object({ decision: DecisionId, reason: words('why; it is recorded'), actor }, closed);

export const RETENTION_METHODS: readonly Method[] = [
  {
    name: 'retention.get',
    kind: 'engine',
    summary: 'The retention rule in force, archived segments with their files, and decisions that are held.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/retention' },
    query: Type.Object({ brief: Type.Optional(Type.Literal('true')) }, closed),
    reply: reply.Anything,
  },
  {
    name: 'retention.prune',
    kind: 'host',
    summary:
      'Move what the policy lets go out of the database into archive files, and shred envelopes past retention; with dry_run only say what would move.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/retention/prune' },
    body: Type.Object({ dry_run: Type.Optional(Type.Boolean()) }, closed),
    reply: reply.Anything,
  },
  {
    name: 'retention.carry',
    kind: 'host',
    summary:
      'Record that a true copy of an archive file was taken elsewhere, and remove the file here. Needs the SHA-256 that the copy has.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/retention/carry' },
    body: Type.Object(
      {
        first: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
        sha256: Digest,
        to: words('where the copy lies, for people'),
        actor,
      },
      closed,
    ),
    reply: reply.Anything,
  },
  {
    name: 'retention.hold',
    kind: 'engine',
    summary: 'Keep everything that tells of a decision where it is, until it is released.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/retention/holds' },
    body: HoldBody,
    reply: reply.Anything,
  },
  {
    name: 'retention.release',
    kind: 'engine',
    summary: 'Take back a hold.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/retention/holds/release' },
    body: HoldBody,
    reply: reply.Anything,
  },
];
