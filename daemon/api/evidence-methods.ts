import { Type } from 'typebox';
import type { Method } from './method.ts';
import { DecisionId } from './schemas.ts';

/* Rows of the method table about evidence that leaves the site. */

const closed = { additionalProperties: false } as const;

export const EVIDENCE_METHODS: readonly Method[] = [
  {
    name: 'evidence.export',
    kind: 'host',
    summary:
      'Everything that proves one decision, as a tar of public formats. Recorded first (ledger.read); sensitive values only for fields that are named, by those who may read them.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/evidence' },
    body: Type.Object(
      {
        decision_id: DecisionId,
        reason: Type.String({ minLength: 1, maxLength: 2_000, description: 'why, in words; it is recorded' }),
        show: Type.Optional(
          Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
            maxItems: 64,
            description: 'sensitive fields of the payload to be shown',
          }),
        ),
        actor: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'who exports it' })),
      },
      closed,
    ),
    reply: 'bytes',
  },
];
