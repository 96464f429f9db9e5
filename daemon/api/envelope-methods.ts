import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { DecisionId, NamedActor, SignedActBody } from './schemas.ts';

/*
 * Rows of the method table about the sensitive values of decisions.
 */

const closed = { additionalProperties: false } as const;
const byDecision = Type.Object({ id: DecisionId }, closed);
const Fields = Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$', description: 'payload field' }), {
  minItems: 1,
  maxItems: 64,
  uniqueItems: true,
});

const ChangeBody = Type.Object(
  {
    ...SignedActBody.properties,
    fields: Type.Optional(Type.Union([Type.Null(), Fields], { description: 'null: all of them' })),
  },
  closed,
);

const DiscloseBody = Type.Object(
  {
    fields: Fields,
    reason: Type.String({ minLength: 1, maxLength: 2_000, description: 'why, in words; it is recorded' }),
    breakglass: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'an open session' })),
    actor: Type.Optional(NamedActor),
  },
  closed,
);

export const ENVELOPE_METHODS: readonly Method[] = [
  {
    name: 'envelopes.get',
    kind: 'engine',
    summary:
      'Which fields of a decision are sensitive, and whether each is sealed, withheld or shredded. No value.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/decisions/{id}/envelope' },
    path: byDecision,
    reply: reply.Anything,
  },
  {
    name: 'envelopes.change',
    kind: 'engine',
    summary:
      'Submit a signed act that destroys sensitive values, withholds them from readers, or releases them again.',
    sockets: ['request', 'operator'],
    http: { verb: 'POST', path: '/v1/decisions/{id}/envelope' },
    path: byDecision,
    body: ChangeBody,
    reply: reply.Anything,
  },
  {
    name: 'envelopes.disclose',
    kind: 'engine',
    summary: 'Salt and value of sensitive fields, for who may read raw values. The read is recorded first.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/decisions/{id}/disclose' },
    path: byDecision,
    body: DiscloseBody,
    reply: reply.Anything,
  },
];
