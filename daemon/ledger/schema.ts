import type { Database, DatabaseKind } from './database.ts';

/** `HLDG`, `HLDH`: told apart by `file(1)` and refused when swapped. */
export const LEDGER_KIND: DatabaseKind = { name: 'ledger', applicationId: 0x484c4447, version: 1 };
export const HEAD_KIND: DatabaseKind = { name: 'head store', applicationId: 0x484c4448, version: 1 };

/** Tile ids are `level * TILE_LEVEL_STEP + n`, so that each level's tiles are neighbours in one integer-keyed table. */
export const TILE_LEVEL_STEP = 2 ** 44;

/**
 * The ledger's own tables and the triggers that keep them append-only. Evidence is `entries`, `tiles`, `checkpoints`;
 * `streams` is a projection of the entries and can be rebuilt.
 *
 * An INSERT trigger demands the next key, because `INSERT OR REPLACE` walks around UPDATE and (unless
 * `recursive_triggers` is on) DELETE triggers. Against someone who can write the file they are no defence: that is what
 * the signed tree is for.
 */
export const LEDGER_OBJECTS: readonly { type: 'table' | 'trigger'; name: string; sql: string }[] = [
  {
    type: 'table',
    name: 'entries',
    sql: 'CREATE TABLE entries (idx INTEGER PRIMARY KEY, prev_idx INTEGER, bytes BLOB NOT NULL) STRICT',
  },
  {
    type: 'table',
    name: 'streams',
    sql: `CREATE TABLE streams (stream TEXT PRIMARY KEY, seq INTEGER NOT NULL, last_idx INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  },
  {
    type: 'table',
    name: 'tiles',
    sql: 'CREATE TABLE tiles (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL CHECK (length(hashes) = 8192)) STRICT',
  },
  {
    type: 'table',
    name: 'checkpoints',
    sql: 'CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT',
  },
  nextOnly('entries', 'idx', 'coalesce((SELECT max(idx) FROM entries), -1) + 1'),
  nextOnly(
    'tiles',
    'id',
    `coalesce((SELECT max(id) FROM tiles WHERE id BETWEEN NEW.id & ${-TILE_LEVEL_STEP} AND NEW.id | ${TILE_LEVEL_STEP - 1}) + 1, NEW.id & ${-TILE_LEVEL_STEP})`,
  ),
  {
    type: 'trigger',
    name: 'checkpoints_insert',
    sql: `CREATE TRIGGER checkpoints_insert BEFORE INSERT ON checkpoints
WHEN NEW.size IS NOT (SELECT max(idx) + 1 FROM entries) OR NEW.size <= (SELECT max(size) FROM checkpoints)
BEGIN SELECT RAISE(ABORT, 'checkpoints: only the whole ledger can be checkpointed, once'); END`,
  },
  ...(['entries', 'tiles', 'checkpoints'] as const).flatMap((table) => [
    never(table, 'UPDATE'),
    never(table, 'DELETE'),
  ]),
];

export const HEAD_SCHEMA = `CREATE TABLE head (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL CHECK (size >= 0),
  root TEXT NOT NULL CHECK (length(root) = 64),
  note TEXT,
  floor_ms INTEGER NOT NULL CHECK (floor_ms >= 0)
) STRICT, WITHOUT ROWID`;

/** Makes the ledger's tables in an empty database. */
export function createLedgerSchema(database: Database): void {
  database.begin();
  for (const object of LEDGER_OBJECTS) database.exec(object.sql);
  database.commit();
}

/**
 * What is wrong with the ledger's tables and triggers: a missing or altered one, or a foreign trigger that acts on
 * them. Tables of other layers (projections) are not looked at. Empty when all is well.
 */
export function schemaDefects(database: Database): string[] {
  const rows = database
    .prepare<{ type: string; name: string; tbl_name: string; sql: string | null }>(
      'SELECT type, name, tbl_name, sql FROM sqlite_schema',
    )
    .all();
  const defects: string[] = [];
  const expected = new Map(LEDGER_OBJECTS.map((object) => [object.name, object]));
  const tables = new Set(
    LEDGER_OBJECTS.filter((object) => object.type === 'table').map((object) => object.name),
  );
  for (const object of expected.values()) {
    const row = rows.find((candidate) => candidate.name === object.name);
    if (row === undefined) defects.push(`${object.type} ${object.name} is missing`);
    else if (row.sql !== object.sql) defects.push(`${object.type} ${object.name} was altered`);
  }
  for (const row of rows) {
    const foreign = !expected.has(row.name) && row.sql !== null;
    if (foreign && (row.type === 'trigger' || row.type === 'index') && tables.has(row.tbl_name)) {
      defects.push(`${row.type} ${row.name} does not belong to ${row.tbl_name}`);
    }
  }
  return defects;
}

/**
 * What makes a file no ledger that can be looked into: its tables are missing or others than ours, or something in it
 * computes its rows (views, virtual tables), which can go on for ever. Empty for what can be read row by row.
 */
export function structureDefects(database: Database): string[] {
  const rows = database
    .prepare<{ type: string; name: string; sql: string | null }>('SELECT type, name, sql FROM sqlite_schema')
    .all();
  const tables = LEDGER_OBJECTS.filter(({ type }) => type === 'table').flatMap(({ name, sql }) => {
    const row = rows.find((candidate) => candidate.name === name);
    if (row === undefined) return [`table ${name} is missing`];
    return row.type === 'table' && row.sql === sql ? [] : [`table ${name} was altered`];
  });
  const computed = rows.filter(({ type, sql }) => type === 'view' || /^\s*CREATE\s+VIRTUAL/i.test(sql ?? ''));
  return [...tables, ...computed.map(({ name }) => `${name.slice(0, 100)} is no table of a ledger`)];
}

function nextOnly(table: string, key: string, next: string): { type: 'trigger'; name: string; sql: string } {
  return {
    type: 'trigger',
    name: `${table}_insert`,
    sql: `CREATE TRIGGER ${table}_insert BEFORE INSERT ON ${table}
WHEN NEW.${key} IS NOT ${next}
BEGIN SELECT RAISE(ABORT, '${table}: only the next ${key} can be appended'); END`,
  };
}

function never(table: string, verb: 'UPDATE' | 'DELETE'): { type: 'trigger'; name: string; sql: string } {
  const name = `${table}_${verb.toLowerCase()}`;
  return {
    type: 'trigger',
    name,
    sql: `CREATE TRIGGER ${name} BEFORE ${verb} ON ${table}
BEGIN SELECT RAISE(ABORT, '${table}: append-only'); END`,
  };
}
