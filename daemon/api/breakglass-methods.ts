import { Type } from 'typebox';
import { UUIDV7 } from '../formats/identifier.ts';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { Limit } from './schemas.ts';

/*
 * Rows of the method table about break-glass and its sealed grants. Scopes and grants travel as the exact canonical texts
 * whose digests were signed.
 */

const closed = { additionalProperties: false } as const;
const SessionId = Type.String({ pattern: `^bg_${UUIDV7}$`, description: 'bg_ and a UUIDv7' });
const GrantId = Type.String({ pattern: `^grant_${UUIDV7}$`, description: 'grant_ and a UUIDv7' });
const bySession = Type.Object({ id: SessionId }, closed);
const byGrant = Type.Object({ id: GrantId }, closed);
const document = (description: string) => Type.String({ maxLength: 16_384, description });
const signed = { act: document('canonical JSON text'), signature: document('SSHSIG armor') };
const Signed = Type.Object(signed, closed);
const Reason = Type.Record(
  Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  Type.String({ minLength: 1, maxLength: 2_000 }),
  { ...closed, maxProperties: 16, description: "the fields of the policy's template" },
);
const RedeemGrantBody = Type.Object(
  {
    code: Type.String({ minLength: 1, maxLength: 64, description: 'as it stands on the paper' }),
    actor: Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }, closed),
    reason: Type.String({ minLength: 1, maxLength: 2_000 }),
    fields: Type.Optional(Reason),
    grant: Type.Optional(document('the grant, where it was issued elsewhere')),
    act: Type.Optional(signed.act),
    signature: Type.Optional(signed.signature),
  },
  closed,
);
const CARRIERS = ['request', 'operator'] as const;
const OPERATOR = ['operator'] as const;

const SESSIONS: readonly Method[] = [
  {
    name: 'breakglass.activate',
    kind: 'engine',
    summary: 'Break the glass for one class on one target, by a signed act. The scope binds word for word.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/breakglass' },
    body: Type.Object({ scope: document('canonical JSON text of the scope'), ...signed }, closed),
    reply: reply.Anything,
  },
  {
    name: 'breakglass.list',
    kind: 'engine',
    summary: 'Sessions that are open or wait for their review, oldest first; with all=true every one, by id.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/breakglass' },
    query: Type.Object(
      {
        all: Type.Optional(Type.Literal('true')),
        after: Type.Optional(SessionId),
        limit: Type.Optional(Limit),
      },
      closed,
    ),
    reply: reply.Anything,
  },
  {
    name: 'breakglass.get',
    kind: 'engine',
    summary: 'One session as it stands, with the digest that acts about it sign.',
    sockets: CARRIERS,
    http: { verb: 'GET', path: '/v1/breakglass/{id}' },
    path: bySession,
    reply: reply.Anything,
  },
  {
    name: 'breakglass.end',
    kind: 'engine',
    summary: 'End a session before its time, by a signed act. Its unused permits die with it.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/breakglass/{id}/end' },
    path: bySession,
    body: Signed,
    reply: reply.Anything,
  },
  {
    name: 'breakglass.review',
    kind: 'engine',
    summary: 'Record, signed by somebody else, that people looked at what was done under a session.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/breakglass/{id}/review' },
    path: bySession,
    body: Signed,
    reply: reply.Anything,
  },
];

const GRANTS: readonly Method[] = [
  {
    name: 'grants.issue',
    kind: 'engine',
    summary: 'Put a sealed single-use grant on record, signed. The ledger gets the commitment to its code.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/grants' },
    body: Type.Object({ grant: document('canonical JSON text of the grant'), ...signed }, closed),
    reply: reply.Anything,
  },
  {
    name: 'grants.list',
    kind: 'engine',
    summary: 'Every sealed grant, by id: unused, used, revoked or expired.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/grants' },
    query: Type.Object({ after: Type.Optional(GrantId), limit: Type.Optional(Limit) }, closed),
    reply: reply.Anything,
  },
  {
    name: 'grants.get',
    kind: 'engine',
    summary: 'One sealed grant, with the digest that acts about it sign.',
    sockets: CARRIERS,
    http: { verb: 'GET', path: '/v1/grants/{id}' },
    path: byGrant,
    reply: reply.Anything,
  },
  {
    name: 'grants.redeem',
    kind: 'engine',
    summary: 'Break the glass with the code of a sealed grant, where nobody can sign. Once.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/grants/{id}/redeem' },
    path: byGrant,
    body: RedeemGrantBody,
    reply: reply.Anything,
  },
  {
    name: 'grants.revoke',
    kind: 'engine',
    summary: 'Take a sealed grant that is out back, by a signed act.',
    sockets: CARRIERS,
    http: { verb: 'POST', path: '/v1/grants/{id}/revoke' },
    path: byGrant,
    body: Signed,
    reply: reply.Anything,
  },
];

export const BREAKGLASS_METHODS: readonly Method[] = [...SESSIONS, ...GRANTS];
