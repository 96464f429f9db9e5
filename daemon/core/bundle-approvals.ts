import { type Static, Type } from 'typebox';

/** Section `approvals` of a bundle: what signatures must show beside being genuine. */
export const Approvals = Type.Object(
  {
    /**
     * Roles in which only a security key counts whose owner proved to it that they are its owner (PIN or biometrics,
     * the flag "user verified"). A key in a file cannot show that, so it does not count in these roles.
     */
    require_pin_for: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
        minItems: 1,
        maxItems: 32,
      }),
    ),
    /** Whether one person may grant an exception and also approve the same decision; default `distinct`. */
    exception_and_vote: Type.Optional(Type.Union([Type.Literal('distinct'), Type.Literal('allow')])),
  },
  { additionalProperties: false },
);

export type BundleApprovals = Static<typeof Approvals>;
