import { Type } from 'typebox';

/** Section `suspension` of a bundle: who may take trust away at the site, and what headquarters gave back since. */
export const Suspension = Type.Object(
  {
    /**
     * Roles that may suspend a key or a principal on the spot. It can only narrow, so it needs nobody else. Everybody may
     * suspend their own key, whatever stands here.
     */
    roles: Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
      maxItems: 16,
    }),
    /** Suspensions that end when this bundle is put in force, each by the digest of its signed act (`keys list`). */
    lifted: Type.Optional(Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), { maxItems: 1_000 })),
  },
  { additionalProperties: false },
);
