import { type Static, Type } from 'typebox';

/*
 * Section `reading` of a bundle: who may look at what. Three rights, each by role: `summary` shows what was decided and
 * done, without the values of payloads; `raw` opens those of a decision or of entries; `export` takes evidence away in
 * bulk. Every use of `raw` and `export` is an entry before anything is shown. Without the section nobody has the latter two.
 */

const closed = { additionalProperties: false } as const;
const roles = (description: string) =>
  Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$', description: 'role' }), {
    minItems: 1,
    maxItems: 16,
    description,
  });

export const ReadingRights = Type.Object(
  {
    /** Absent: everybody whom the sockets answer as an observer. */
    summary: Type.Optional(roles('who may list and search decisions and entries')),
    raw: Type.Optional(roles('who may open payload values')),
    export: Type.Optional(roles('who may take evidence, ledger and tiles away')),
    /** Who else may open payload values while a break-glass session is open, of decisions in its place; reviewed with it. */
    breakglass: Type.Optional(Type.Object({ roles: roles('who may read under an open session') }, closed)),
  },
  closed,
);

export type BundleReading = Static<typeof ReadingRights>;
