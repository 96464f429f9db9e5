import { type Static, Type } from 'typebox';

/*
 * Section `time` of a bundle: who may say what time it is at a site that nobody sets the clock for. Without it nobody may,
 * and only a clock that is right by itself is ever believed.
 */

const closed = { additionalProperties: false } as const;
const role = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' });
const duration = Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: '30s, 15m, 4h, 7d' });

export const Time = Type.Object(
  {
    /** Roles whose signed statement of the time counts. */
    state_roles: Type.Array(role, { minItems: 1, maxItems: 16 }),
    /** How far one statement may take the time floor back; absent: as far as it says. */
    max_lowering: Type.Optional(duration),
    /** Whether a clock is trusted that the kernel calls synchronized: by NTP, PTP or a receiver of this site. */
    believe_kernel: Type.Optional(Type.Boolean()),
    /** How long the time may stay uncertain before what was granted or asked for in earlier boots is over for good. */
    boot_grace: Type.Optional(duration),
  },
  closed,
);

export type BundleTime = Static<typeof Time>;
