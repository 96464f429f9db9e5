import { type Static, Type } from 'typebox';
import { OidcSubject } from './bundle-oidc.ts';

/*
 * Section `principals` of a bundle: people, agents and services. What stands here decides: who a caller is, what they may
 * ask for, in whose name, and until when.
 */

const closed = { additionalProperties: false } as const;
const name = (what: string) => Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: what });
const sentence = Type.String({ minLength: 1, maxLength: 500 });

const Scope = Type.Object(
  {
    classes: Type.Optional(Type.Array(name('class'), { maxItems: 256 })),
    environments: Type.Optional(Type.Array(name('environment'), { maxItems: 32 })),
    /** `type:id`, word for word. */
    targets: Type.Optional(Type.Array(Type.String({ maxLength: 600 }), { maxItems: 1_000 })),
  },
  closed,
);

const Key = Type.Object(
  {
    public_key: Type.String({ maxLength: 2_000 }),
    status: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('revoked')])),
    /** A security key that counts only when it was unlocked with its PIN. */
    require_pin: Type.Optional(Type.Boolean()),
  },
  closed,
);

export const Principal = Type.Object(
  {
    kind: Type.Union([Type.Literal('human'), Type.Literal('agent'), Type.Literal('service')]),
    display_name: Type.Optional(sentence),
    roles: Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
      maxItems: 16,
    }),
    status: Type.Union([Type.Literal('active'), Type.Literal('suspended'), Type.Literal('revoked')]),
    /** The person who answers for an agent or a service. */
    owner: Type.Optional(Type.String({ maxLength: 128 })),
    /** Where the principal's roles and requests count; empty means everywhere. */
    scope: Type.Optional(Scope),
    /** From then on the principal counts as little as a suspended one; while the clock is doubted, too. */
    expires_at: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' })),
    /** What it is able to do: classes may demand capabilities of who asks, conditions may look at them. */
    capabilities: Type.Optional(Type.Array(name('capability'), { maxItems: 32 })),
    /** How much it is trusted, in the words of the policy; conditions may look at it. */
    risk_tier: Type.Optional(name('risk tier')),
    /** OpenSSH public keys, one line each. */
    keys: Type.Optional(Type.Array(Key, { maxItems: 8 })),
    /** The local user that its processes run as, by the kernel's word. */
    uid: Type.Optional(Type.Integer({ minimum: 0, maximum: 4_294_967_294 })),
    /** Of its certificate from the site's own authority; `spiffe://{{site}}/…` in a bundle that several sites share. */
    spiffe_id: Type.Optional(Type.String({ pattern: '^spiffe://', maxLength: 500 })),
    /** SHA-256 (hex) of certificates that no longer count, whatever their ID. */
    revoked_certificates: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), { maxItems: 64 }),
    ),
    /** Whose names it may ask in beside its own: ids, or a kind (`agent`) for everybody of that kind. */
    may_assert: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z][a-z0-9:_.@-]{0,127}$' }), { minItems: 1, maxItems: 256 }),
    ),
    /** What the site's identity provider calls this person (section `oidc`). */
    oidc: Type.Optional(OidcSubject),
    /** The audiences as which it may redeem permits and report outcomes; a gateway is `gateway`. */
    audiences: Type.Optional(Type.Array(name('audience'), { minItems: 1, maxItems: 16 })),
  },
  closed,
);

export type BundlePrincipal = Static<typeof Principal>;
