import { type Static, Type } from 'typebox';

/*
 * Section `breakglass` of a bundle: who may break the glass, for what, for how long, what it lifts, and who looks at it
 * afterwards. Without the section nobody may. What it can never lift: a class, field or target that the policy does not
 * know, a principal that does not count, secrets, payload rules.
 */

const closed = { additionalProperties: false } as const;
const name = (what: string) => Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: what });
const roles = Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
  minItems: 1,
  maxItems: 16,
});
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });

/** A field of the structured reason, all texts. */
const ReasonField = Type.Object(
  {
    description: Type.String({ minLength: 1, maxLength: 500 }),
    /** Default true: without it nobody breaks the glass. */
    required: Type.Optional(Type.Boolean()),
    /** RE2 syntax, matched against the whole text. */
    pattern: Type.Optional(Type.String({ maxLength: 500 })),
    max_length: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_000 })),
  },
  closed,
);

export const BreakGlass = Type.Object(
  {
    /** Who may open and end a session, by signature. */
    roles,
    /** Longest that a session may last. */
    max_ttl: duration,
    /** Sessions that may be open at the same time; default 1. */
    max_open: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    /** What a session may be opened for; one of these must cover it. Absent or empty lists cover everything. */
    covers: Type.Array(
      Type.Object(
        {
          classes: Type.Array(name('class'), { minItems: 1, maxItems: 256 }),
          environments: Type.Optional(Type.Array(name('environment'), { maxItems: 32 })),
          /** `type:id`, word for word. */
          targets: Type.Optional(Type.Array(Type.String({ maxLength: 600 }), { maxItems: 1_000 })),
        },
        closed,
      ),
      { minItems: 1, maxItems: 64 },
    ),
    /** What the reason must say, field by field. */
    reason: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), ReasonField, {
        ...closed,
        maxProperties: 16,
      }),
    ),
    lifts: Type.Object(
      {
        /** No approvals are waited for. */
        authority: Type.Boolean(),
        /** Gates of this bundle that do not hold it up, and `policy.freshness`, `anchor.overdue`, `time.uncertain`. */
        gates: Type.Optional(Type.Array(name('gate'), { maxItems: 500 })),
      },
      closed,
    ),
    /** The look afterwards, by somebody else. */
    review: Type.Object(
      {
        roles,
        /** Counted from the session's end. */
        within: duration,
        /** `escalate`: on record and in status. `block_next`: and nobody opens another session before. */
        overdue: Type.Union([Type.Literal('escalate'), Type.Literal('block_next')]),
      },
      closed,
    ),
    /** Sealed single-use grants, issued beforehand for the day when nobody can sign. Absent: there are none. */
    grants: Type.Optional(
      Type.Object(
        {
          roles,
          /** How long a grant may lie in its envelope. */
          max_validity: duration,
          /** Unused grants that may be out at a time; default 10. */
          max_unused: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
        },
        closed,
      ),
    ),
  },
  closed,
);

export type BundleBreakGlass = Static<typeof BreakGlass>;
