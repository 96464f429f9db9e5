import { type Static, Type } from 'typebox';

/*
 * Section `anomalies` of a bundle: what about signed approvals is out of the ordinary, and what follows. A rule that is
 * struck is on record with the act; `anomaly.detected` says so once for each person and while `quiet` lasts. Acts that
 * say no are never judged: nothing shall stand in the way of a "no".
 */

const closed = { additionalProperties: false } as const;
const name = (what: string) => Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: what });
const role = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' });
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });
const clockTime = Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', description: '07:30' });
const day = Type.Union([
  Type.Literal('mon'),
  Type.Literal('tue'),
  Type.Literal('wed'),
  Type.Literal('thu'),
  Type.Literal('fri'),
  Type.Literal('sat'),
  Type.Literal('sun'),
]);

const common = {
  id: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,47}$', description: 'rule' }),
  /**
   * `record`: the act counts. `escalate`: it counts, and the decision then needs `escalate_to` too. `reject`: it does not
   * count. What is asked under break-glass is only recorded.
   */
  effect: Type.Union([Type.Literal('record'), Type.Literal('escalate'), Type.Literal('reject')]),
  escalate_to: Type.Optional(
    Type.Object(
      {
        roles: Type.Array(role, { minItems: 1, maxItems: 16 }),
        min_signatures: Type.Integer({ minimum: 1, maximum: 16 }),
      },
      closed,
    ),
  ),
  /** How long no further `anomaly.detected` is made about the same rule and person; default 1h. */
  quiet: Type.Optional(duration),
  classes: Type.Optional(Type.Array(name('class'), { maxItems: 256 })),
  environments: Type.Optional(Type.Array(name('environment'), { maxItems: 32 })),
};

/** More than `more_than` approvals and exceptions by one person within `within`. */
const Burst = Type.Object(
  {
    ...common,
    watch: Type.Literal('burst'),
    more_than: Type.Integer({ minimum: 1, maximum: 1_000 }),
    within: duration,
  },
  closed,
);

/** Signed sooner than `at_least` after the decision was made: faster than it can be read. */
const Quick = Type.Object({ ...common, watch: Type.Literal('quick'), at_least: duration }, closed);

/** Signed or handed in outside of these local hours. */
const OffHours = Type.Object(
  {
    ...common,
    watch: Type.Literal('off_hours'),
    /** From behind `to` on it is off hours; a `to` before `from` reaches over midnight. */
    hours: Type.Object({ from: clockTime, to: clockTime }, closed),
    /** Local time; there is no daylight saving here. */
    utc_offset: Type.String({ pattern: '^[+-](0[0-9]|1[0-4]):[0-5][0-9]$', description: '+01:00' }),
    /** Working days, by the day on which the hours begin; absent: all. */
    days: Type.Optional(Type.Array(day, { minItems: 1, maxItems: 7 })),
  },
  closed,
);

/** Exceptions and what break-glass allowed make up more than this part of the site's decisions within `within`. */
const Overrides = Type.Object(
  {
    ...common,
    watch: Type.Literal('overrides'),
    above: Type.Number({ minimum: 0.01, maximum: 1 }),
    within: duration,
    /** Fewer overrides than this are never too many; default 3. */
    at_least: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  },
  closed,
);

export const Anomalies = Type.Array(Type.Union([Burst, Quick, OffHours, Overrides]), { maxItems: 64 });

export type AnomalyRule = Static<typeof Anomalies>[number];
export type AnomalyRuleOf<W extends AnomalyRule['watch']> = Extract<AnomalyRule, { watch: W }>;
