import { Type } from 'typebox';

/*
 * Section `headquarters` of a bundle: whose word headquarters' word is, beside that of the publisher's keys. Without it the
 * site keeps everything in its outbox for ever.
 */

const closed = { additionalProperties: false } as const;

export const Headquarters = Type.Object(
  {
    /** Verifier keys (FILE.pub of "repo new-key"). A file leaves the outbox once one of them acknowledged it. */
    acknowledgement_keys: Type.Array(
      Type.String({
        pattern: '^[^\\s+]{1,200}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]{44,48}$',
        description: 'verifier key, as in a .pub file',
      }),
      { minItems: 1, maxItems: 16 },
    ),
  },
  closed,
);
