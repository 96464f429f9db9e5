import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });
const role = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' });
const issuer = Type.String({
  pattern: '^https://[^\\s?#]{1,400}$',
  description: 'issuer, as its tokens name it',
});
/** base64url, as RFC 7518 writes the numbers of a key. */
const number = (bytes: number) =>
  Type.String({ pattern: `^[A-Za-z0-9_-]{2,${Math.ceil((bytes * 4) / 3) + 1}}$` });
const kid = Type.String({ minLength: 1, maxLength: 200 });

/** Public keys only (RFC 7517): a member that would hold a private part is an unknown member here. */
const PublicKey = Type.Union([
  Type.Object(
    {
      kty: Type.Literal('OKP'),
      crv: Type.Literal('Ed25519'),
      alg: Type.Literal('EdDSA'),
      kid,
      x: number(32),
    },
    closed,
  ),
  Type.Object(
    {
      kty: Type.Literal('EC'),
      crv: Type.Literal('P-256'),
      alg: Type.Literal('ES256'),
      kid,
      x: number(32),
      y: number(32),
    },
    closed,
  ),
  Type.Object(
    {
      kty: Type.Literal('RSA'),
      alg: Type.Union([Type.Literal('RS256'), Type.Literal('PS256')]),
      kid,
      n: number(1024),
      e: number(8),
    },
    closed,
  ),
]);

const Provider = Type.Object(
  {
    issuer,
    /** What the tokens' `aud` must be. */
    audience: Type.String({ minLength: 1, maxLength: 200 }),
    keys: Type.Array(PublicKey, { minItems: 1, maxItems: 16 }),
    /** From then on its keys count no longer: those of a provider that was forgotten must not count for ever. */
    keys_until: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' }),
    /** How old a token may be; 15 minutes when absent. */
    max_age: Type.Optional(duration),
    /** The claim that holds the person's roles at the provider; `roles` when absent. */
    role_claim: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,100}$' })),
    /** The provider's word for a role → roles here. Absent: the token says who it is, and nothing of roles. */
    roles: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1, maxLength: 200 }),
        Type.Array(role, { minItems: 1, maxItems: 16 }),
        {
          ...closed,
          maxProperties: 100,
        },
      ),
    ),
  },
  closed,
);

/** Section `oidc` of a bundle: the identity providers whose ID tokens may, or must, stand beside an approval. */
export const Oidc = Type.Object(
  {
    providers: Type.Array(Provider, { minItems: 1, maxItems: 4 }),
    /** Roles in which an approval counts only with an ID token. */
    required_for: Type.Optional(Type.Array(role, { minItems: 1, maxItems: 32 })),
  },
  closed,
);

/** Member `oidc` of a principal: what a provider's tokens call this person. */
export const OidcSubject = Type.Object(
  { issuer, subject: Type.String({ minLength: 1, maxLength: 255 }) },
  closed,
);

export type BundleOidc = Static<typeof Oidc>;
export type OidcProvider = Static<typeof Provider>;
