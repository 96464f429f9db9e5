/*
 * Tables derived from entries, kept in the ledger's database so that they change in the same transaction. Everything
 * here can be dropped and rebuilt (`holdfast ledger rebuild`), except `sealed` and
 * `sealed_keys`, which hold what entries must not.
 * Keys are time-ordered where they are on the hot path: the rows of one batch then share pages, and the WAL that a
 * commit must sync stays small.
 */
export const PROJECTION_OBJECTS: readonly { type: 'table' | 'index'; name: string; sql: string }[] = [
  {
    type: 'table',
    name: 'decisions',
    sql: `CREATE TABLE decisions (
  id TEXT PRIMARY KEY, status TEXT NOT NULL, permit TEXT NOT NULL, last_idx INTEGER NOT NULL,
  expires_at INTEGER
) STRICT, WITHOUT ROWID`,
  },
  {
    type: 'index',
    // Permits are not in it: one that is allowed at once would pay for a row here and another when it is used.
    name: 'decisions_due',
    sql: `CREATE INDEX decisions_due ON decisions (expires_at)
  WHERE status IN ('evaluated', 'pending_authority')`,
  },
  {
    type: 'index',
    name: 'decisions_waiting',
    sql: `CREATE INDEX decisions_waiting ON decisions (status, id)
  WHERE status IN ('evaluated', 'pending_authority')`,
  },
  {
    type: 'index',
    name: 'permits_open',
    sql: `CREATE INDEX permits_open ON decisions (permit, id) WHERE permit IN ('redeemed', 'unknown')`,
  },
  {
    type: 'table',
    name: 'idempotency',
    sql: `CREATE TABLE idempotency (key TEXT PRIMARY KEY, request TEXT NOT NULL, decision TEXT NOT NULL)
  STRICT, WITHOUT ROWID`,
  },
  {
    type: 'table',
    name: 'nonces',
    sql: 'CREATE TABLE nonces (nonce TEXT PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID',
  },
  {
    type: 'table',
    name: 'key_counters',
    sql: 'CREATE TABLE key_counters (key TEXT PRIMARY KEY, counter INTEGER NOT NULL) STRICT, WITHOUT ROWID',
  },
  {
    type: 'table',
    name: 'standing',
    sql: `CREATE TABLE standing (
  kind TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, first_idx INTEGER NOT NULL, last_idx INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID`,
  },
  {
    type: 'index',
    name: 'standing_open',
    sql: `CREATE INDEX standing_open ON standing (kind, first_idx) WHERE state <> 'closed'`,
  },
  {
    type: 'table',
    // For whoever reviews a session; a row for each decision under one, and none for all others.
    name: 'under_breakglass',
    sql: `CREATE TABLE under_breakglass (session TEXT NOT NULL, decision TEXT NOT NULL, PRIMARY KEY (session, decision))
  STRICT, WITHOUT ROWID`,
  },
  {
    type: 'table',
    // What anomaly rules look back at: a row for each approval and override, none for what is allowed without either.
    name: 'watched',
    sql: `CREATE TABLE watched (
  kind TEXT NOT NULL, who TEXT NOT NULL, idx INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (kind, who, idx)
) STRICT, WITHOUT ROWID`,
  },
  {
    type: 'index',
    name: 'watched_newest',
    sql: 'CREATE INDEX watched_newest ON watched (kind, idx)',
  },
  {
    type: 'table',
    // The chain of anchors: a row for each.
    name: 'anchors',
    sql: `CREATE TABLE anchors (
  size INTEGER PRIMARY KEY, old INTEGER NOT NULL, idx INTEGER NOT NULL, at INTEGER NOT NULL,
  departed INTEGER, acknowledged INTEGER
) STRICT`,
  },
  {
    type: 'table',
    name: 'sealed',
    sql: 'CREATE TABLE sealed (decision TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID',
  },
  {
    type: 'table',
    // Data keys, apart from what they open: they are wrapped anew now and then, the values never move.
    name: 'sealed_keys',
    sql: `CREATE TABLE sealed_keys (decision TEXT PRIMARY KEY, epoch INTEGER NOT NULL, bytes BLOB NOT NULL)
  STRICT, WITHOUT ROWID`,
  },
];

/** Projections that `rebuild` drops and refills, with the columns that the check compares. */
export const REBUILT = [
  'decisions',
  'idempotency',
  'nonces',
  'key_counters',
  'standing',
  'under_breakglass',
  'watched',
  'anchors',
] as const;
