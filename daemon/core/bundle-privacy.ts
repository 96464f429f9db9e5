import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const roles = (description: string) =>
  Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
    minItems: 1,
    maxItems: 16,
    description,
  });

/** Section `privacy` of a bundle: who may keep sensitive values from being shown, and who may destroy them. Absent: nobody. */
export const Privacy = Type.Object(
  {
    /** Signs that a field is not to be shown to anybody, or that it may be again. The value is kept, and still reaches its tool. */
    withhold_roles: Type.Optional(roles('who may withhold sensitive values from readers')),
    /** Signs that values are destroyed, for good. Commitments, proofs and verdicts stay. */
    shred_roles: Type.Optional(roles('who may destroy sensitive values')),
  },
  closed,
);

export type BundlePrivacy = Static<typeof Privacy>;
