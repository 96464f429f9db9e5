import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { DecisionId } from './schemas.ts';

/*
 * Rows of the method table about reading what the ledger holds.
 */

const closed = { additionalProperties: false } as const;
const uuidv7 = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const position = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const DisclosureBody = Type.Object(
  {
    right: Type.Union([Type.Literal('raw'), Type.Literal('export')]),
    subject: Type.Object(
      {
        what: Type.String({
          pattern: '^[a-z][a-z_-]{0,31}$',
          description: 'decision, entries, evidence, tiles',
        }),
        decision_id: Type.Optional(DecisionId),
        from: Type.Optional(position),
        size: Type.Optional(position),
      },
      closed,
    ),
    reason: Type.String({ minLength: 1, maxLength: 2_000, description: 'why, in words; it is recorded' }),
    breakglass: Type.Optional(Type.String({ pattern: `^bg_${uuidv7}$`, description: 'an open session' })),
    actor: Type.Optional(
      Type.Object(
        {
          id: Type.String({ minLength: 1, maxLength: 128 }),
          role: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 64 })])),
        },
        closed,
      ),
    ),
  },
  closed,
);

export const READING_METHODS: readonly Method[] = [
  {
    name: 'ledger.disclose',
    kind: 'engine',
    summary:
      'Put a read of payload values, or an export, on record. To be called before anything of it is shown: no record, no reading.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/ledger/disclose' },
    body: DisclosureBody,
    reply: reply.Anything,
  },
];
