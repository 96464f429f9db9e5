import { type TSchema, Type } from 'typebox';
import { DECISION_STATUSES } from '../core/decision.ts';
import { Audience, DecisionId, Digest, PermitId, Target } from './schemas.ts';

/* What the sockets answer, as JSON Schema for the OpenAPI document. Replies are written by the engine and not checked here. */

const nullable = <T extends TSchema>(schema: T) => Type.Union([Type.Null(), schema]);
const literals = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)));
const Instant = Type.String({ description: 'RFC 3339 UTC with milliseconds' });
const Proof = Type.String({ description: 'C2SP tlog-proof; its extra line carries the entry' });
const Actor = Type.Object({ id: nullable(Type.String()), role: nullable(Type.String()) });
const AnyObject = Type.Record(Type.String(), Type.Unknown());

const Permit = Type.Object({
  id: PermitId,
  decision_id: DecisionId,
  audience: Audience,
  action_digest: Digest,
  policy_digest: Digest,
  tool: Type.String(),
  call: AnyObject,
  environment: Type.String(),
  target: Target,
  profile: Type.String(),
  /** Who asked over the socket; where callers are told apart. */
  peer: Type.Optional(
    Type.Object({
      principal: nullable(Type.String()),
      uid: Type.Optional(Type.Integer()),
      spiffe_id: Type.Optional(Type.String()),
      certificate: Type.Optional(Digest),
      required: Type.Optional(Type.Literal(true)),
    }),
  ),
  breakglass: Type.Optional(Type.String({ description: 'bg_…: the session that it dies with' })),
  not_before: Instant,
  expires_at: Instant,
  proof: Proof,
});

const Group = Type.Object({
  group: Type.String(),
  roles: Type.Array(Type.String()),
  min_signatures: Type.Integer(),
});
const Received = Type.Object({
  principal: Type.String(),
  role: Type.String(),
  group: Type.String(),
  key: Type.String({ description: 'SHA256:…' }),
  answer: literals('approve', 'reject'),
  nonce: Type.String(),
  at: Instant,
  login: Type.Optional(
    Type.Object({
      issuer: Type.String(),
      subject: Type.String(),
      auth_time: Type.Union([Instant, Type.Null()]),
      amr: Type.Array(Type.String()),
    }),
  ),
  /** Present where it no longer counts: key or person were revoked or suspended since. */
  counts: Type.Optional(Type.Literal(false)),
});
const Gate = Type.Object({
  id: Type.String(),
  result: literals('pass', 'fail', 'requires_exception', 'lifted'),
  /** Left out where it passed. */
  reason: Type.Optional(Type.String()),
  field: Type.Optional(Type.String()),
  exception_role: Type.Optional(Type.String()),
});
const Exception = Type.Object({
  gate: Type.String(),
  principal: Type.String(),
  role: Type.String(),
  key: Type.String(),
  reason: Type.String(),
  at: Instant,
  expires_at: Instant,
  counts: Type.Optional(Type.Literal(false)),
});
const Labels = Type.Record(Type.String(), Type.String());

export const Status = literals(...DECISION_STATUSES);

const ShadowRuling = Type.Object({
  result: literals('allow', 'deny', 'queue', 'escalate'),
  band: nullable(Type.String()),
  score: nullable(Type.Number()),
  gates: Type.Array(Type.String()),
  authority: Type.Object({ route: nullable(Type.String()), required: Type.Array(Group) }),
});
/** What was judged beside a decision and not enforced. */
const Shadow = Type.Object({
  class: Type.Optional(ShadowRuling),
  candidate: Type.Optional(
    Type.Object({
      policy: Type.Object({ digest: Digest, version: Type.String() }),
      result: Type.Optional(ShadowRuling.properties.result),
      band: Type.Optional(ShadowRuling.properties.band),
      score: Type.Optional(ShadowRuling.properties.score),
      gates: Type.Optional(
        Type.Object({ added: Type.Array(Type.String()), gone: Type.Array(Type.String()) }),
      ),
      authority: Type.Optional(ShadowRuling.properties.authority),
      dropped: Type.Optional(Type.Object({ gates: Type.Integer(), groups: Type.Integer() })),
      failed: Type.Optional(Type.String()),
    }),
  ),
});

export const Decision = Type.Object({
  decision_id: DecisionId,
  policy_version: nullable(Type.String()),
  policy_digest: nullable(Digest),
  action_digest: Digest,
  status: Status,
  action: Type.Object({
    class: nullable(Type.String()),
    intent: nullable(Type.String()),
    target: nullable(Target),
    payload: AnyObject,
  }),
  context: Type.Object({
    actor: Actor,
    environment: Type.String(),
    request_source: nullable(Type.String()),
    trace: Type.Object({ correlation_id: nullable(Type.String()), parent_id: nullable(Type.String()) }),
    labels: Labels,
  }),
  policy: Type.Object({ gates: Type.Array(Gate), exceptions: Type.Array(Exception) }),
  risk: Type.Object({
    band: nullable(Type.String()),
    score: nullable(Type.Number()),
    reasons: Type.Array(Type.String()),
  }),
  authority: Type.Object({
    required: Type.Array(Group),
    received: Type.Array(Received),
    satisfied: Type.Boolean(),
  }),
  ledger: Type.Object({
    write_state: Type.Literal('confirmed'),
    record_id: Type.Integer(),
    proof: Type.Optional(Proof),
  }),
  enforcement: Type.Object({
    default: Type.Literal('deny'),
    result: literals('allow', 'deny', 'queue', 'escalate'),
    allow_if: Type.Array(Type.String()),
    reasons: Type.Array(Type.String()),
  }),
  timestamps: Type.Object({ created_at: Instant, updated_at: Instant }),
  expires_at: nullable(Instant),
  linked_to: nullable(DecisionId),
  time_trust: literals('trusted', 'floor', 'uncertain'),
  breakglass: Type.Optional(Type.Object({ id: Type.String(), until: Instant })),
  shadow: Type.Optional(Shadow),
  permit_state: literals('none', 'issued', 'redeemed', 'succeeded', 'failed', 'unknown'),
  permit: Type.Optional(Permit),
  outcome: nullable(AnyObject),
  reviews: Type.Array(Type.Object({ principal: Type.String(), note: Type.String(), at: Instant })),
});

export const DecisionList = Type.Object({
  decisions: Type.Array(AnyObject),
  next: nullable(Type.String({ description: 'value of `after` for the next page' })),
  elsewhere: Type.Optional(
    Type.Array(DecisionId, {
      description: 'decisions whose entries lie in archive files that were carried off',
    }),
  ),
});

export const Redeemed = Type.Object({
  permit_id: PermitId,
  decision_id: DecisionId,
  redeemed_at: Instant,
  proof: Proof,
  sensitive: nullable(
    Type.Record(
      Type.String(),
      Type.Object({ salt: Type.String({ description: 'base64' }), value: Type.Unknown() }),
    ),
  ),
});
export const OpenPermits = Type.Object({
  permits: Type.Array(Type.Object({ permit_id: PermitId, decision_id: DecisionId, redeemed_at: Instant })),
});

export const Identified = Type.Object({ principal: Type.Union([Type.Null(), Type.String()]) });
export const Renewed = Type.Object({
  certificate: Type.String({ description: 'PEM' }),
  authority: Type.String({ description: 'PEM' }),
});

export const PolicyUpdate = Type.Object({
  update_id: Type.String(),
  files: Type.Record(Type.String(), Type.String({ description: 'base64' })),
});
export const ProvenEntries = Type.Object({
  checkpoint: Type.String({ description: 'C2SP tlog-checkpoint' }),
  entries: Type.Array(
    Type.Object({
      index: Type.Integer(),
      entry: AnyObject,
      proof: Type.Array(Type.String({ description: 'base64; leaf’s sibling first' })),
    }),
  ),
});
export const Entries = Type.Object({
  entries: Type.Array(Type.Object({ index: Type.Integer(), entry: AnyObject })),
  size: Type.Integer({ description: 'entries in the ledger' }),
});
export const Executed = Type.Object({
  decision: nullable(AnyObject),
  outcome: nullable(Type.Object({ result: literals('succeeded', 'failed', 'unknown'), detail: AnyObject })),
  output: nullable(AnyObject),
});
export const Ready = Type.Object({ ready: Type.Boolean() });
export const Healthy = Type.Object({ status: Type.Literal('ok') });
export const Subscribed = Type.Object({ subscription: Type.Integer() });
export const Anything = AnyObject;

/** RFC 9457, with our stable `code`. */
export const ProblemDocument = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  detail: Type.String(),
  at: Type.Optional(Type.String({ description: 'JSON pointer or parameter of the offending field' })),
});
