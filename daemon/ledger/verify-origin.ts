import type { Database } from './database.ts';
import type { Finding } from './finding.ts';

/**
 * Whether the ledger is another log than the one whose keys are believed: not one of its checkpoints names the expected
 * origin. Every single thing in it would then be a finding, and none would say what is the matter. Null when it is the
 * right log, or has no checkpoints.
 */
export function otherLog(database: Database, expected: string): Finding | null {
  const tables = database.prepareColumn<number>(
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'checkpoints'",
  );
  if (tables.get() !== 1) return null;
  const own = database.prepareColumn<number>(
    `SELECT count(*) FROM checkpoints WHERE substr(CAST(note AS TEXT), 1, length(?) + 1) = ? || char(10)`,
  );
  if ((own.get(expected, expected) ?? 0) > 0) return null;
  const newest = database
    .prepareColumn<string>(
      "SELECT coalesce(CAST(note AS TEXT), '') FROM checkpoints ORDER BY size DESC LIMIT 1",
    )
    .get();
  const origin = /^([^\n]{1,300})\n/.exec(newest ?? '')?.[1];
  if (origin === undefined || siteOf(origin) === siteOf(expected)) return null;
  if (!newest?.includes(`\n\n— ${origin} `)) return null;
  return {
    code: 13,
    what: 'trust',
    where: origin,
    detail: `This is the ledger of ${origin}, and the keys given are those of ${expected}. Nothing else was checked. Give the trust file of the site that the ledger is from; if it should be the ledger of ${expected}, somebody has put another one in its place.`,
  };
}

/** A site's later logs are called `<site>/ledger/<n>`. */
function siteOf(origin: string): string {
  return origin.replace(/\/ledger(?:\/[0-9]+)?$/, '');
}
