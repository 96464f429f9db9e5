import { type TSchema, Type } from 'typebox';
import { UUIDV7 } from '../formats/identifier.ts';

/*
 * What crosses the sockets, as JSON Schema: the server checks with it, and OpenAPI is generated from it. Request objects are closed: an
 * unknown field is an error, because a misspelt field must not vanish. An audit field may be absent or null: what that
 * means is the engine's to decide and record, not a matter of form. Replies are described, never checked at run time.
 */

const closed = { additionalProperties: false } as const;
const nullable = <T extends TSchema>(schema: T) => Type.Union([Type.Null(), schema]);
const text = (maxLength: number, description?: string) =>
  Type.String(description === undefined ? { maxLength } : { maxLength, description });
const audit = (maxLength: number, description: string) =>
  Type.Optional(nullable(text(maxLength, description)));
/** `[\s\S]`, because `.` does not match a line feed and a key that escapes the pattern would escape the check. */
const anyKey = (maxLength: number) => Type.String({ pattern: `^[\\s\\S]{0,${maxLength}}$` });

export const DecisionId = Type.String({
  pattern: `^dec_${UUIDV7}$`,
  description: 'dec_ and a UUIDv7 in lower case',
});
export const PermitId = Type.String({
  pattern: `^prm_${UUIDV7}$`,
  description: 'prm_ and the UUIDv7 of its decision',
});
export const Digest = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'a SHA-256 in lower-case hex' });
export const Environment = Type.String({ pattern: '^[a-z][a-z0-9_-]{0,31}$' });
export const Audience = Type.String({
  pattern: '^[a-z][a-z0-9_.-]{0,63}$',
  description: 'a short lower-case name',
});
/** A canonical decimal of at most 2^53-1, as it stands in a path or query. */
export const Index = Type.String({
  pattern: '^(0|[1-9][0-9]{0,14})$',
  description: 'a canonical decimal number',
});
/** Names a read that is on record, so that what it is about is shown with its payload values. */
export const Read = Type.String({
  pattern: '^(0|[1-9][0-9]{0,14})$',
  description: 'index of the ledger.read entry of this read',
});
export const Limit = Type.String({
  pattern: '^([1-9][0-9]?|1[0-9]{2}|200)$',
  description: 'the length of a page, 1 to 200',
});
export const Wait = Type.String({
  pattern: '^[0-9]{1,6}(ms|s|m)$',
  description: 'a duration such as 500ms or 30s, 60s at most, to wait for a pending decision to be decided',
});
export const IdempotencyKey = Type.String({
  pattern: '^[\\x21-\\x7e]{1,200}$',
  description: 'A retry with the same key and the same body returns the first answer, durably.',
});

const JsonValue = Type.Unknown({ description: 'any JSON value' });
/** A JSON object whose members are judged elsewhere (policy, engine). */
const AnyObject = (description: string) => Type.Record(anyKey(65_536), JsonValue, { description });

export const Target = Type.Object({ type: text(64), id: text(512) }, closed);
const Actor = Type.Object({ id: audit(128, 'agent:ops-1'), role: audit(64, 'the role acted in') }, closed);

export const Action = Type.Object(
  {
    class: audit(64, 'action class of the active policy'),
    intent: audit(2_000, 'why, in the words of the actor'),
    target: Type.Optional(nullable(Target)),
    payload: Type.Optional(AnyObject('judged by the payload allowlist of the class')),
  },
  closed,
);

const Context = Type.Object(
  {
    actor: Type.Optional(nullable(Actor)),
    environment: audit(64, 'production is assumed when absent'),
    request_source: audit(64, 'cli, mcp, scheduler'),
    trace: Type.Optional(
      nullable(
        Type.Object(
          { correlation_id: audit(200, 'chosen by the caller'), parent_id: audit(200, 'of the caller') },
          closed,
        ),
      ),
    ),
    labels: Type.Optional(
      Type.Record(anyKey(64), text(512), {
        ...closed,
        maxProperties: 32,
        description: 'keys that the bundle declares',
      }),
    ),
  },
  closed,
);

export const CreateBody = Type.Object(
  {
    action: Type.Optional(Action),
    context: Type.Optional(Context),
    linked_to: Type.Optional(nullable(DecisionId)),
  },
  closed,
);

/** A signed human act: the exact canonical text that was signed, and its SSHSIG armor (contract: "Signed act"). */
export const SignedActBody = Type.Object(
  { act: text(16_384, 'canonical JSON text'), signature: text(16_384, 'SSHSIG armor') },
  closed,
);
/** An approval; beside it the ID token of the person's login for this very act, where there is an identity provider. */
export const ApproveBody = Type.Object(
  {
    ...SignedActBody.properties,
    id_token: Type.Optional(text(16_384, 'JWT whose nonce is base64url SHA-256 of the act')),
  },
  closed,
);
/** People who act without a signature name themselves; what they do is recorded under that name. */
export const NamedActor = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 128 }), role: audit(64, 'the role acted in') },
  closed,
);
export const CancelBody = Type.Object(
  { actor: NamedActor, reason: Type.String({ minLength: 1, maxLength: 2_000 }) },
  closed,
);
/** Why a key is replaced, and who says so. */
export const RotateBody = Type.Object(
  { actor: Type.Optional(NamedActor), reason: Type.String({ minLength: 1, maxLength: 2_000 }) },
  closed,
);
export const ReviewBody = Type.Union([
  Type.Object({ actor: NamedActor, note: Type.String({ minLength: 1, maxLength: 4_000 }) }, closed),
  SignedActBody,
]);
export const ImportBody = Type.Object(
  {
    path: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: 'absolute path of a policy repository',
    }),
    actor: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: '^[a-z][a-z0-9:_.@-]*$',
        description: 'who does it, for the record',
      }),
    ),
  },
  closed,
);
const PEM_MAX_LENGTH = 8_192;

/** Who called an audience, as far as its machine can tell, and what for. */
export const IdentifyBody = Type.Object(
  {
    uid: nullable(Type.Integer({ minimum: 0, maximum: 4_294_967_295 })),
    spiffe_id: Type.Optional(text(500)),
    certificate: Type.Optional(Digest),
    method: text(64),
    actor: Type.Optional(nullable(text(128))),
  },
  closed,
);

export const RenewBody = Type.Object(
  { csr: Type.String({ minLength: 1, maxLength: PEM_MAX_LENGTH, description: 'PKCS #10, PEM, P-256' }) },
  closed,
);

export const RedeemBody = Type.Object({ audience: Audience, action_digest: Digest }, closed);

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const OutcomeDetail = Type.Object(
  {
    exit_code: Type.Optional(nullable(Type.Integer({ minimum: -2_147_483_648, maximum: 4_294_967_295 }))),
    signal: Type.Optional(nullable(text(32))),
    duration_ms: Type.Optional(Type.Number({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    http_status: Type.Optional(nullable(Type.Integer({ minimum: 100, maximum: 999 }))),
    stdout_digest: Type.Optional(nullable(Digest)),
    stderr_digest: Type.Optional(nullable(Digest)),
    stdout_bytes: Type.Optional(nullable(count)),
    stderr_bytes: Type.Optional(nullable(count)),
    reason: Type.Optional(nullable(text(1_000))),
  },
  closed,
);
export const OutcomeResult = Type.Union([
  Type.Literal('succeeded'),
  Type.Literal('failed'),
  Type.Literal('unknown'),
]);
export const OutcomeBody = Type.Object(
  { audience: Audience, result: OutcomeResult, detail: Type.Optional(OutcomeDetail) },
  closed,
);

/** What the gateway is asked to do: a new action, or the decision that was approved in the meantime. */
export const ActionBody = Type.Union([
  Type.Object({ action: Action, context: Context, linked_to: Type.Optional(nullable(DecisionId)) }, closed),
  Type.Object({ decision_id: DecisionId, context: Type.Object({ actor: Actor }, closed) }, closed),
]);

export const SubscribeBody = Type.Object(
  {
    from: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'first ledger index wanted',
    }),
    kinds: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z]+\\.[a-z_]+$', maxLength: 64 }), {
        minItems: 1,
        maxItems: 32,
        description: 'entry types',
      }),
    ),
    stream: Type.Optional(text(64, 'dec_…, policy or system')),
  },
  closed,
);
export const UnsubscribeBody = Type.Object(
  { subscription: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) },
  closed,
);
