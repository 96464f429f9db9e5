import type { Database } from '../ledger/database.ts';
import { type Finding, tampered } from '../ledger/finding.ts';

/** More would not tell a person more. */
const MAX_FINDINGS = 100;

const QUERIES: readonly { sql: string; where: string; detail: string }[] = [
  {
    sql: 'SELECT decision, NULL AS idx FROM sealed WHERE decision NOT IN (SELECT decision FROM sealed_keys) LIMIT ?',
    where: 'sealed',
    detail: 'the value has no data key: nobody can open it',
  },
  {
    sql: 'SELECT decision, NULL AS idx FROM sealed_keys WHERE decision NOT IN (SELECT decision FROM sealed) LIMIT ?',
    where: 'sealed_keys',
    detail: 'the data key has no value',
  },
  {
    sql: 'SELECT decision, NULL AS idx FROM sealed WHERE decision NOT IN (SELECT id FROM decisions) LIMIT ?',
    where: 'sealed',
    detail: 'there is no such decision',
  },
  {
    sql: `SELECT id AS decision, last_idx AS idx FROM standing
    WHERE kind = 'shredded' AND (id IN (SELECT decision FROM sealed) OR id IN (SELECT decision FROM sealed_keys))
    LIMIT ?`,
    where: 'sealed',
    detail: 'it was shredded and is there again (an old copy of the database?)',
  },
];

/**
 * Whether the stored envelopes are those of recorded decisions, whole, and none that was shredded. What they hold cannot be
 * checked here: that takes their keys.
 */
export function checkEnvelopes(database: Database): Finding[] {
  const findings: Finding[] = [];
  for (const { sql, where, detail } of QUERIES) {
    const rows = database.prepare<{ decision: string; idx: number | null }>(sql);
    for (const { decision, idx } of rows.all(MAX_FINDINGS - findings.length)) {
      findings.push(tampered('projection', `${where}[${decision}]`, detail, idx ?? undefined));
    }
  }
  return findings;
}
