import { Type } from 'typebox';

/*
 * Section `activation` of a bundle: what must happen at the site before an update that headquarters signed takes effect.
 */

const closed = { additionalProperties: false } as const;
const role = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' });
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });

export const Activation = Type.Object(
  {
    /** An update that changes the rules waits until this many people of the site, each in one of these roles, signed. */
    hold: Type.Object(
      {
        roles: Type.Array(role, { minItems: 1, maxItems: 16 }),
        min_signatures: Type.Integer({ minimum: 1, maximum: 16 }),
        /** How long it waits for them; absent: as long as its own metadata is valid. */
        max_wait: Type.Optional(duration),
      },
      closed,
    ),
  },
  closed,
);
