import { type Static, Type } from 'typebox';

/*
 * Section `retention` of a bundle: how long what was recorded stays where. Without it everything stays in the ledger's
 * database for ever. Nothing here ever removes an entry from the log: what leaves the database lies in archive files, and
 * every proof stays what it was.
 */

const days = (description: string) =>
  Type.String({ pattern: '^[1-9][0-9]{0,5}(s|m|h|d)$', description: `${description}: 12h, 90d` });

export const Retention = Type.Object(
  {
    /** Entries of decisions that are closed and older than this move into archive files, whole segments at a time. */
    archive_after: days('age'),
    /**
     * How long entries stay readable at the site, in the database or in archive files. After that an archive file may be
     * carried off. Absent: never.
     */
    keep_entries_for: Type.Optional(days('age')),
    /** Entries of one archive file. */
    segment_size: Type.Optional(Type.Integer({ minimum: 256, maximum: 65_536, multipleOf: 256 })),
    /** The encrypted sensitive values of closed decisions are destroyed after this. Absent: never. */
    envelopes_for: Type.Optional(days('age')),
    /** What ledger, archive and envelopes may take of the disk together; more is a degraded state, never a deletion. */
    max_disk: Type.Optional(
      Type.String({ pattern: '^[1-9][0-9]{0,5}(MiB|GiB)$', description: '500MiB, 20GiB' }),
    ),
  },
  { additionalProperties: false },
);

export type BundleRetention = Static<typeof Retention>;

/** Entries of one archive file where the policy does not say: some 6 MiB of them. */
export const SEGMENT_SIZE = 4_096;
