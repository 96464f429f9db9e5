import { type Static, Type } from 'typebox';

/*
 * Section `incidents` of a bundle: who may report that something was done without a permit, who may let a halted site go
 * on, and what the self-test asks for. Without it nobody may report or resume; what the site notices by itself halts all
 * the same.
 */

const closed = { additionalProperties: false } as const;
const roles = (description: string) =>
  Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
    minItems: 1,
    maxItems: 16,
    description,
  });
const reach = <Own extends 'target' | 'tool'>(own: Own) =>
  Type.Optional(Type.Union([Type.Literal(own), Type.Literal('site')], { description: 'what is halted' }));

/** A must-deny action that the self-test sends through the real gateway. */
const Canary = Type.Object(
  {
    class: Type.String({
      pattern: '^[a-z][a-z0-9_]{0,63}$',
      description: 'a class that a gate always denies',
    }),
    target: Type.Object(
      {
        type: Type.String({ minLength: 1, maxLength: 64 }),
        id: Type.String({ minLength: 1, maxLength: 512 }),
      },
      closed,
    ),
    payload: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
        Type.Union([Type.String({ maxLength: 500 }), Type.Number(), Type.Boolean()]),
        { ...closed, maxProperties: 16 },
      ),
    ),
    environment: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_-]{0,31}$' })),
    /** A file that the tool of the class makes when it runs; while it exists, the self-test has failed. */
    trap: Type.Optional(Type.String({ pattern: '^/[^\\u0000]{1,400}$' })),
  },
  closed,
);

export const Incidents = Type.Object(
  {
    reporter_roles: Type.Optional(roles('who may report an act without a permit')),
    resume_roles: Type.Optional(roles('who may let a halted site or target go on, by signature')),
    /** Halts wider than the default. A gateway that is itself in doubt always halts the site. */
    halt: Type.Optional(
      Type.Object(
        {
          unpermitted_act: reach('target'),
          outcome_without_permit: reach('target'),
          tool_changed: reach('tool'),
        },
        closed,
      ),
    ),
    /** In whose name the self-test asks, where callers are told apart: somebody with the identity of the daemon's account. */
    canary_actor: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9:_.@-]{0,127}$' })),
    /** Beside the built-in ones, which name classes that no policy has. */
    canaries: Type.Optional(Type.Array(Canary, { minItems: 1, maxItems: 16 })),
  },
  closed,
);

export type BundleIncidents = Static<typeof Incidents>;
export type BundleCanary = Static<typeof Canary>;
