import { type Static, Type } from 'typebox';
import { Activation } from './bundle-activation.ts';
import { Anchoring } from './bundle-anchoring.ts';
import { Anomalies } from './bundle-anomalies.ts';
import { Approvals } from './bundle-approvals.ts';
import { BreakGlass } from './bundle-breakglass.ts';
import { Headquarters } from './bundle-headquarters.ts';
import { Incidents } from './bundle-incidents.ts';
import { Oidc } from './bundle-oidc.ts';
import { Principal } from './bundle-principal.ts';
import { Privacy } from './bundle-privacy.ts';
import { ReadingRights } from './bundle-reading.ts';
import { Retention } from './bundle-retention.ts';
import { Suspension } from './bundle-suspension.ts';
import { Time } from './bundle-time.ts';

/*
 * The policy bundle (design: "Policy"): structure and caps. What structure cannot say (CEL types, references between
 * sections, templates) is checked by `compile.ts`. Unknown keys are refused everywhere: a misspelt rule must not vanish.
 */

const closed = { additionalProperties: false } as const;
const name = (what: string) => Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: what });
/** Roles keep the capital letters that organisations give them: L2, L3, safety_officer. */
const role = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' });
const sentence = Type.String({ minLength: 1, maxLength: 500 });
const cel = Type.String({ minLength: 1, maxLength: 2_000, description: 'CEL expression of type bool' });
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });
const roleList = Type.Array(role, { minItems: 1, maxItems: 16 });
/** Empty means: applies to all. */
const scope = {
  classes: Type.Optional(Type.Array(name('class'), { maxItems: 256 })),
  environments: Type.Optional(Type.Array(name('environment'), { maxItems: 32 })),
};

const PayloadField = Type.Object(
  {
    type: Type.Union([
      Type.Literal('string'),
      Type.Literal('integer'),
      Type.Literal('number'),
      Type.Literal('boolean'),
      Type.Literal('string_list'),
      /** The name of a secret that only the gateway has, `credential:NAME`; its value reaches the tool on stdin only. */
      Type.Literal('secret_ref'),
    ]),
    description: Type.Optional(sentence),
    required: Type.Optional(Type.Boolean()),
    /** Strings: regular expression (RE2 syntax, anchored both ends by us). */
    pattern: Type.Optional(Type.String({ maxLength: 500 })),
    max_length: Type.Optional(Type.Integer({ minimum: 1, maximum: 16_384 })),
    enum: Type.Optional(Type.Array(Type.String({ maxLength: 200 }), { minItems: 1, maxItems: 100 })),
    minimum: Type.Optional(Type.Number()),
    maximum: Type.Optional(Type.Number()),
    max_items: Type.Optional(Type.Integer({ minimum: 1, maximum: 150 })),
    /** Never stored: entry and permit hold a salted commitment, the value reaches the tool on stdin only. */
    sensitive: Type.Optional(Type.Boolean()),
  },
  closed,
);

const ActionClass = Type.Object(
  {
    description: sentence,
    target: Type.Object({ type: name('target type'), id_pattern: Type.String({ maxLength: 500 }) }, closed),
    environments: Type.Optional(Type.Array(name('environment'), { minItems: 1, maxItems: 32 })),
    payload: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), PayloadField, {
        ...closed,
        maxProperties: 64,
      }),
    ),
    base_risk: Type.Number({ minimum: 0, maximum: 1 }),
    tool: name('tool'),
    /** What whoever asks must be able to do (`capabilities` of the principal), all of it. */
    requires_capabilities: Type.Optional(Type.Array(name('capability'), { minItems: 1, maxItems: 16 })),
    /** In shadow: judged and recorded, and denied whatever the verdict is. */
    shadow: Type.Optional(Type.Boolean()),
    pending_ttl: Type.Optional(duration),
    permit_ttl: Type.Optional(duration),
    /** What doubtful time means for this class; default `queue`. */
    time_uncertain: Type.Optional(
      Type.Union([Type.Literal('allow'), Type.Literal('queue'), Type.Literal('deny')]),
    ),
  },
  closed,
);

const toolCommon = {
  description: Type.Optional(sentence),
  audience: Type.Optional(name('audience')),
  timeout: Type.Optional(duration),
  output_limit_bytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_048_576 })),
};
/** Templates: `{{target.id}}`, `{{target.type}}`, `{{payload.FIELD}}`, `{{environment}}`, `{{decision_id}}`; never a shell string. */
const Tool = Type.Union([
  Type.Object(
    {
      connector: Type.Literal('exec'),
      argv: Type.Array(Type.String({ maxLength: 1_000 }), { minItems: 1, maxItems: 64 }),
      /** Payload fields handed to the tool as one JSON object on stdin; the only way for sensitive fields. */
      stdin: Type.Optional(Type.Array(name('payload field'), { minItems: 1, maxItems: 32 })),
      /** SHA-256 (hex) of the program, `argv[0]`: the gateway runs no other. */
      sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
      ...toolCommon,
    },
    closed,
  ),
  Type.Object(
    {
      connector: Type.Literal('http'),
      address: Type.String({ pattern: '^(unix:/[^{}]{1,200}|tcp:[A-Za-z0-9.:\\[\\]-]{1,200}:[0-9]{1,5})$' }),
      method: Type.Union([
        Type.Literal('GET'),
        Type.Literal('POST'),
        Type.Literal('PUT'),
        Type.Literal('DELETE'),
      ]),
      path: Type.String({ pattern: '^/', maxLength: 1_000 }),
      /** Payload fields sent as one JSON object; sensitive fields may go here. */
      body: Type.Optional(Type.Array(name('payload field'), { minItems: 1, maxItems: 32 })),
      ...toolCommon,
    },
    closed,
  ),
]);

export const Gate = Type.Object(
  {
    id: name('gate'),
    ...scope,
    /** True means the gate passes. */
    condition: cel,
    otherwise: Type.Union([Type.Literal('fail'), Type.Literal('requires_exception')]),
    exception_role: Type.Optional(role),
    reason: sentence,
  },
  closed,
);

const RiskFactor = Type.Object(
  {
    id: name('factor'),
    ...scope,
    condition: cel,
    weight: Type.Number({ minimum: -1, maximum: 1 }),
    reason: sentence,
  },
  closed,
);

const AuthorityRoute = Type.Object(
  {
    id: name('route'),
    ...scope,
    bands: Type.Optional(Type.Array(name('band'), { maxItems: 8 })),
    /** AND-groups: every one must be satisfied, each by its own people. Empty: no approval needed. */
    require: Type.Array(
      Type.Object(
        { group: name('group'), roles: roleList, min_signatures: Type.Integer({ minimum: 1, maximum: 16 }) },
        closed,
      ),
      { maxItems: 8 },
    ),
  },
  closed,
);

export const BundleSchema = Type.Object(
  {
    schema: Type.Literal('holdfast/bundle/v1'),
    metadata: Type.Object(
      {
        name: name('bundle'),
        version: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }),
        description: sentence,
        issued_at: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' }),
        /** Origins of the sites that may run it; a bundle that does not name the site is refused there. */
        sites: Type.Array(Type.String({ pattern: '^[a-z0-9.-]+(/[a-z0-9._/-]+)?$', maxLength: 200 }), {
          minItems: 1,
          maxItems: 1_000,
        }),
        freshness: Type.Object(
          { warn_after: duration, escalate_after: duration, deny_after: duration },
          closed,
        ),
      },
      closed,
    ),
    environments: Type.Record(
      Type.String({ pattern: '^[a-z][a-z0-9_-]{0,31}$' }),
      Type.Object({ description: sentence }, closed),
      { ...closed, minProperties: 1, maxProperties: 32 },
    ),
    /** Keys that `context.labels` may carry. */
    labels: Type.Optional(Type.Array(name('label'), { maxItems: 32 })),
    actions: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), ActionClass, {
      ...closed,
      maxProperties: 256,
    }),
    tools: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$' }), Tool, {
      ...closed,
      maxProperties: 256,
    }),
    gates: Type.Array(Gate, { maxItems: 500 }),
    risk: Type.Object(
      {
        factors: Type.Array(RiskFactor, { maxItems: 500 }),
        /** Ascending; `below` of the last band is greater than 1. */
        bands: Type.Array(
          Type.Object(
            { band: name('band'), below: Type.Number({ exclusiveMinimum: 0, maximum: 2 }) },
            closed,
          ),
          { minItems: 1, maxItems: 8 },
        ),
      },
      closed,
    ),
    oidc: Type.Optional(Oidc),
    suspension: Type.Optional(Suspension),
    approvals: Type.Optional(Approvals),
    anomalies: Type.Optional(Anomalies),
    headquarters: Type.Optional(Headquarters),
    incidents: Type.Optional(Incidents),
    activation: Type.Optional(Activation),
    anchoring: Type.Optional(Anchoring),
    reading: Type.Optional(ReadingRights),
    privacy: Type.Optional(Privacy),
    retention: Type.Optional(Retention),
    authority: Type.Object({ routes: Type.Array(AuthorityRoute, { maxItems: 500 }) }, closed),
    principals: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9:_.@-]{0,127}$' }), Principal, {
      ...closed,
      maxProperties: 5_000,
    }),
    limits: Type.Optional(
      Type.Object(
        {
          requests_per_second: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          pending_per_actor: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
          approvals_per_decision: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
        },
        closed,
      ),
    ),
    breakglass: Type.Optional(BreakGlass),
    time: Type.Optional(Time),
    /** Extra patterns (RE2) that no payload string may contain, beside the built-in ones. */
    secrets: Type.Optional(
      Type.Object(
        {
          patterns: Type.Array(
            Type.Object(
              { id: name('pattern'), pattern: Type.String({ minLength: 1, maxLength: 500 }) },
              closed,
            ),
            { maxItems: 100 },
          ),
        },
        closed,
      ),
    ),
  },
  closed,
);

export type Bundle = Static<typeof BundleSchema>;
export type BundleActionClass = Static<typeof ActionClass>;
export type BundleTool = Static<typeof Tool>;
export type BundleGate = Static<typeof Gate>;
export type BundleRoute = Static<typeof AuthorityRoute>;
export type { BundleBreakGlass } from './bundle-breakglass.ts';
export type { BundlePrincipal } from './bundle-principal.ts';
export type BundleRiskFactor = Static<typeof RiskFactor>;
export type BundlePayloadField = Static<typeof PayloadField>;
export type { BundleCanary, BundleIncidents } from './bundle-incidents.ts';
export type { BundleReading } from './bundle-reading.ts';
