import { type Static, Type } from 'typebox';

/*
 * Section `anchoring` of a bundle: how long a site may go on without its history being known elsewhere. Without the
 * section nothing is demanded; tree heads are exported as the site's own settings say.
 */

const closed = { additionalProperties: false } as const;
const name = (what: string) => Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: what });
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });

export const Anchoring = Type.Object(
  {
    /**
     * What counts. `made` (default): the anchor lies in the outbox, and anybody can take it. `left`: it is known outside,
     * because headquarters acknowledged it, a witness cosigned it, or it was taken to a medium.
     */
    counts: Type.Optional(Type.Union([Type.Literal('made'), Type.Literal('left')])),
    /** The site makes one at least so often, whatever its own schedule says. */
    every: Type.Optional(duration),
    /** Counted from when the newest anchor that counts was made; from the first entry while there is none. */
    warn_after: duration,
    /** From then on what is held back needs an approval, even where no route demands one. */
    escalate_after: duration,
    /** From then on it is denied. */
    deny_after: duration,
    /** What is held back; absent: everything above the lowest risk band. */
    classes: Type.Optional(Type.Array(name('class'), { minItems: 1, maxItems: 256 })),
  },
  closed,
);

export type BundleAnchoring = Static<typeof Anchoring>;
