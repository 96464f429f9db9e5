import { Type } from 'typebox';
import { UUIDV7 } from '../formats/identifier.ts';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { Audience, DecisionId, Digest, Limit, SignedActBody, Target } from './schemas.ts';

/*
 * Rows of the method table about incidents and the self-test.
 */

const closed = { additionalProperties: false } as const;
const IncidentId = Type.String({
  pattern: `^inc_${UUIDV7}$`,
  description: 'inc_ and a UUIDv7',
});
const byIncident = Type.Object({ id: IncidentId }, closed);
const short = (description: string) => Type.String({ minLength: 1, maxLength: 256, description });
/** Ids and digests to look into, never prose: what is written about an incident stands in `detail`. */
const Evidence = Type.Object(
  {
    decision_id: Type.Optional(DecisionId),
    observed_at: Type.Optional(
      Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{3})?Z$' }),
    ),
    code: Type.Optional(short('code of a refusal')),
    path: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1_000, description: 'of the file concerned' }),
    ),
    expected: Type.Optional(Digest),
    found: Type.Optional(Type.Union([Type.Null(), Digest])),
    digest: Type.Optional(Digest),
  },
  closed,
);
const detail = Type.String({ minLength: 1, maxLength: 2_000, description: 'what happened, in words' });

/** Somebody of the roster: what was done to a target without a permit; no target speaks of the gateway itself. */
const PrincipalReport = Type.Object(
  {
    actor: Type.Object(
      {
        id: Type.String({ minLength: 1, maxLength: 128 }),
        role: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 64 })])),
      },
      closed,
    ),
    target: Type.Union([Type.Null(), Target]),
    detail,
    evidence: Type.Optional(Evidence),
  },
  closed,
);
/** An audience, such as the gateway, on its own socket. */
const AudienceReport = Type.Object(
  {
    audience: Audience,
    cause: Type.Union([
      Type.Literal('tool_changed'),
      Type.Literal('configuration_changed'),
      Type.Literal('gateway_report'),
    ]),
    tool: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    detail,
    evidence: Type.Optional(Evidence),
  },
  closed,
);

export const INCIDENT_METHODS: readonly Method[] = [
  {
    name: 'incidents.open',
    kind: 'engine',
    summary:
      'Report that something was done, or may be done, without a permit. What it concerns is halted at once.',
    sockets: ['request', 'redeem', 'operator'],
    http: { verb: 'POST', path: '/v1/incidents' },
    body: Type.Union([PrincipalReport, AudienceReport]),
    reply: reply.Anything,
  },
  {
    name: 'incidents.list',
    kind: 'engine',
    summary: 'Open incidents, oldest first; with state=all every one, by id.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/incidents' },
    query: Type.Object(
      {
        state: Type.Optional(Type.Union([Type.Literal('open'), Type.Literal('all')])),
        after: Type.Optional(IncidentId),
        limit: Type.Optional(Limit),
      },
      closed,
    ),
    reply: reply.Anything,
  },
  {
    name: 'incidents.get',
    kind: 'engine',
    summary: 'One incident, with the digest that a resume signs and the proof of its newest entry.',
    sockets: ['request', 'operator'],
    http: { verb: 'GET', path: '/v1/incidents/{id}' },
    path: byIncident,
    reply: reply.Anything,
  },
  {
    name: 'incidents.resume',
    kind: 'engine',
    summary: 'Let what an incident halted go on, by a signed act of kind resume.',
    sockets: ['request', 'operator'],
    http: { verb: 'POST', path: '/v1/incidents/{id}/resume' },
    path: byIncident,
    body: SignedActBody,
    reply: reply.Anything,
  },
  {
    name: 'canary.run',
    kind: 'host',
    summary:
      'Send a must-deny action through the gateway now. A gateway that does not deny it becomes an incident.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/canary' },
    reply: reply.Anything,
  },
];
