import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';

/* Rows of the method table about backups. They are written by whoever reads the site's files; here they go on record. */

const closed = { additionalProperties: false } as const;
const hex = Type.String({ pattern: '^[0-9a-f]{64}$' });
const count = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

export const BACKUP_METHODS: readonly Method[] = [
  {
    name: 'backups.record',
    kind: 'engine',
    summary:
      'Record that a backup was made: its file, digest and recipients, and the tree head that it goes up to.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/backups' },
    body: Type.Object(
      {
        file: Type.String({ minLength: 1, maxLength: 255, pattern: '^[^/\\u0000-\\u001f]+$' }),
        digest: hex,
        size: count,
        recipients: Type.Array(Type.String({ pattern: '^age1[a-z0-9]{1,4000}$' }), {
          minItems: 1,
          maxItems: 32,
        }),
        keys: Type.Boolean(),
        ledger: Type.Object(
          { origin: Type.String({ minLength: 1, maxLength: 255 }), size: count, root: hex },
          closed,
        ),
        scheduled: Type.Optional(Type.Boolean()),
        actor: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 128 }), Type.Null()])),
      },
      closed,
    ),
    reply: reply.Anything,
  },
];
