import { standingAfter } from '../core/standing.ts';
import { watchedBy } from '../core/watched.ts';
import type { Entry } from '../formats/entry.ts';
import { archiveDir } from '../ledger/archive.ts';
import type { Database, Statement } from '../ledger/database.ts';
import { type Finding, tampered } from '../ledger/finding.ts';
import { streamOfText } from '../ledger/segments.ts';
import { EntryRows } from '../ledger/verify-archive.ts';
import { AnchorChain, type AnchorRow } from './anchor-rows.ts';
import { checkEnvelopes } from './envelope-check.ts';
import { PROJECTION_OBJECTS, REBUILT } from './projection-tables.ts';
import {
  carriedCounters,
  type DecisionRow,
  idempotencyOf,
  keyCounterOf,
  nonceOf,
  rowAfter,
  type StandingRow,
  sessionOver,
} from './projections.ts';
import { isUnusedGrant, JOINED_ALL, JOINED_ONE, type Joined, UnusedGrants } from './unused-grants.ts';

/** More would not tell a person more. */
const MAX_FINDINGS = 100;
/** First name behind all that start with `dec_`: the character after the underscore. */
const AFTER_DECISIONS = 'dec`';

/**
 * Compares the engine's projections with what the entries say, for `verifyLedger`: every decision has exactly the row
 * that its stream makes, every answered idempotency key and every used nonce is there, nothing else is, and SQLite's
 * indexes name the same rows. `entries` and `streams` are verified by the ledger itself and believed here.
 *
 * Reads every entry of a decision once, one stream at a time. Ends early after 100 findings.
 */
export function checkProjections(database: Database, archive = archiveDir(database.path)): Finding[] {
  return beginCheck(database, archive, 0)(null);
}

/** The rest of a check, given what was seen of each entry: see `UnusedGrants.unlike`. Null: nothing was. */
export type RestOfCheck = (seen: Float64Array | null) => Finding[];

/**
 * The same in two parts, the second for when all `entries` were seen by somebody: what they saw is then believed instead of
 * read again. With none, everything is read.
 */
export function beginCheck(database: Database, archive: string, entries: number): RestOfCheck {
  const findings = new Found();
  const tables = countTables(database);
  // A site that never had a daemon has none of them, and no decision that could miss its row.
  if (tables === 0 && !anyDecision(database)) return () => [];
  if (!checkSchema(database, findings)) return () => findings.all;
  for (const table of REBUILT) checkIndexes(database, table, findings);
  const check = new RowCheck(database, findings, new EntryRows(database, archive));
  const grants = entries === 0 ? null : check.decisionsBut(new UnusedGrants(database, entries));
  return (seen) => {
    if (grants === null || seen === null) check.everyDecision();
    else check.grantsUnlike(grants, seen);
    if (!findings.full) check.everythingStanding();
    if (!findings.full) check.everyAnchor();
    if (!findings.full) check.everyKeyCounter();
    if (!findings.full) check.counts();
    return [...findings.all, ...checkEnvelopes(database)];
  };
}

class Found {
  readonly all: Finding[] = [];

  get full(): boolean {
    return this.all.length >= MAX_FINDINGS;
  }

  add(where: string, detail: string, index?: number): void {
    this.all.push(tampered('projection', where, detail, index));
  }
}

function countTables(database: Database): number {
  const names = database.prepareColumn<string>(`SELECT name FROM sqlite_schema WHERE type = 'table'`).all();
  return REBUILT.filter((table) => names.includes(table)).length;
}

function anyDecision(database: Database): boolean {
  const any = 'SELECT 1 FROM streams WHERE stream >= ? AND stream < ? LIMIT 1';
  return database.prepare(any).get('dec_', AFTER_DECISIONS) !== undefined;
}

/**
 * A foreign trigger or an altered index would make the tables lie from the next write on. False when a table is not there as
 * we made it: then its rows cannot be asked for.
 */
function checkSchema(database: Database, findings: Found): boolean {
  const rows = database
    .prepare<{ name: string; tbl_name: string; sql: string | null }>(
      'SELECT name, tbl_name, sql FROM sqlite_schema',
    )
    .all();
  const ours = new Set(PROJECTION_OBJECTS.map(({ name }) => name));
  let readable = true;
  for (const { type, name, sql } of PROJECTION_OBJECTS) {
    const row = rows.find((candidate) => candidate.name === name);
    if (type === 'table' && row?.sql !== sql) readable = false;
    if (row === undefined) findings.add('sqlite_schema', `${type} ${name} is missing`);
    else if (row.sql !== sql) findings.add('sqlite_schema', `${type} ${name} was altered`);
  }
  for (const { name, tbl_name: table, sql } of rows) {
    // Without SQL it is SQLite's own index of a primary key.
    if (sql === null || ours.has(name) || !ours.has(table)) continue;
    findings.add('sqlite_schema', `${name} does not belong to ${table}`);
  }
  return readable;
}

/** The ledger's own look at the pages (`quick_check`) does not compare indexes with their tables. */
function checkIndexes(database: Database, table: string, findings: Found): void {
  const messages = database.prepareColumn<string>(`PRAGMA integrity_check(${table})`).all();
  for (const message of messages) if (message !== 'ok') findings.add(table, message);
}

/** The entries of all streams but decisions (in two ranges: SQLite would read all streams for an OR). A stream's entries are linked; the log's order is that of their indexes. */
const OTHERS = `
WITH RECURSIVE chain (idx) AS (
  SELECT last_idx FROM streams WHERE stream < ?
  UNION
  SELECT last_idx FROM streams WHERE stream >= ?
  UNION
  SELECT prev_idx FROM entries JOIN chain USING (idx) WHERE prev_idx IS NOT NULL AND prev_idx < entries.idx
)
SELECT entries.idx, CAST(bytes AS TEXT) FROM chain JOIN entries USING (idx) ORDER BY entries.idx`;

class RowCheck {
  readonly #database: Database;
  readonly #findings: Found;
  readonly #entries: EntryRows;
  readonly #kept: Statement<{ request: string; decision: string }>;
  readonly #burnt: Statement<number>;
  readonly #under: Statement<number>;
  readonly #watched: Statement<number>;
  /** How many rows each table should have. */
  readonly #expected = {
    decisions: 0,
    idempotency: 0,
    nonces: 0,
    key_counters: 0,
    standing: 0,
    under_breakglass: 0,
    watched: 0,
    anchors: 0,
  };
  readonly #counters = new Map<string, number>();
  readonly #standing = new Map<string, StandingRow>();
  readonly #anchors = new AnchorChain();
  #site: string | null = null;
  /** Decisions of which some entries lie elsewhere. */
  #unread = 0;

  constructor(database: Database, findings: Found, entries: EntryRows) {
    this.#entries = entries;
    this.#database = database;
    this.#findings = findings;
    this.#kept = database.prepare('SELECT request, decision FROM idempotency WHERE key = ?');
    this.#under = database.prepareColumn('SELECT 1 FROM under_breakglass WHERE session = ? AND decision = ?');
    this.#watched = database.prepareColumn('SELECT at FROM watched WHERE kind = ? AND who = ? AND idx = ?');
    this.#burnt = database.prepareColumn('SELECT idx FROM nonces WHERE nonce = ?');
  }

  everyDecision(): void {
    const all = this.#database.prepareTuple<Joined>(JOINED_ALL);
    for (const joined of all.iterate('dec_', AFTER_DECISIONS)) {
      this.#expected.decisions++;
      this.#closer(joined);
      if (this.#findings.full) return;
    }
  }

  /** All but the rows that wait for what was seen of their entries; null when `everyDecision` has to do it. */
  decisionsBut(grants: UnusedGrants): UnusedGrants | null {
    const others = grants.sift('dec_', AFTER_DECISIONS);
    if (others === null) return null;
    this.#expected.decisions = others.length + grants.kept;
    const one = this.#database.prepareTuple<Joined>(JOINED_ONE);
    for (const stream of others) {
      const joined = one.get(stream);
      if (joined !== undefined) this.#decision(joined);
      if (this.#findings.full) break;
    }
    return grants;
  }

  /** Looks closer where a row says something else than was seen, which may only mean that the pass over the entry told nothing. */
  grantsUnlike(grants: UnusedGrants, seen: Float64Array): void {
    const one = this.#database.prepareTuple<Joined>(JOINED_ONE);
    const nameless = new Set<number>();
    for (const head of grants.unlike(seen)) {
      const name = streamOfText(this.#entries.link(head)?.[1] ?? '');
      const joined = name === null ? undefined : one.get(name);
      if (joined?.[1] === head) this.#closer(joined);
      else nameless.add(head);
      if (this.#findings.full) return;
    }
    if (nameless.size === 0) return;
    // Damaged, or elsewhere: only the tables know whose they are.
    for (const joined of this.#database.prepareTuple<Joined>(JOINED_ALL).iterate('dec_', AFTER_DECISIONS)) {
      if (nameless.has(joined[1])) this.#closer(joined);
      if (this.#findings.full) return;
    }
  }

  #closer(joined: Joined): void {
    if (this.#site === null || !isUnusedGrant(joined, this.#site)) this.#decision(joined);
  }

  /** Streams that are not decisions: few entries, read in the order of the log. */
  everythingStanding(): void {
    const entries = this.#database.prepareTuple<[index: number, text: string]>(OTHERS);
    for (const [index, text] of entries.iterate('dec_', AFTER_DECISIONS)) {
      try {
        const entry = JSON.parse(text) as Entry;
        this.#nonce(entry, index);
        this.#watch(entry, index);
        for (const carried of carriedCounters(entry)) this.#counted(carried);
        this.#follow(entry, index);
        this.#anchors.follow(index, entry);
      } catch (error) {
        this.#findings.add(
          'standing',
          `entry ${index} cannot be followed: ${(error as Error).message}`,
          index,
        );
      }
      if (this.#findings.full) return;
    }
    const row = this.#database.prepare<StandingRow>('SELECT * FROM standing WHERE kind = ? AND id = ?');
    for (const expected of this.#standing.values()) {
      const { kind, id, state, first_idx, last_idx } = expected;
      const found = row.get(kind, id);
      if (found?.state === state && found.first_idx === first_idx && found.last_idx === last_idx) continue;
      this.#findings.add(`standing[${kind} ${id}]`, 'the row is not what the entries say', last_idx);
    }
    this.#expected.standing = this.#standing.size;
  }

  /** Streams are read one after the other, and a key signs for many: what counts is the highest of all. */
  everyKeyCounter(): void {
    const row = this.#database.prepareColumn<number>('SELECT counter FROM key_counters WHERE key = ?');
    for (const [key, counter] of this.#counters) {
      const found = row.get(key) ?? -1;
      if (found === counter || (this.#unread > 0 && found > counter)) continue;
      this.#findings.add(`key_counters[${key}]`, `it is not ${counter}`);
    }
    this.#expected.key_counters = this.#counters.size;
  }

  everyAnchor(): void {
    const row = this.#database.prepare<AnchorRow>('SELECT * FROM anchors WHERE size = ?');
    for (const expected of this.#anchors.rows.values()) {
      const found = row.get(expected.size);
      const members = Object.keys(expected) as (keyof AnchorRow)[];
      if (found !== undefined && members.every((name) => found[name] === expected[name])) continue;
      this.#findings.add(`anchors[${expected.size}]`, 'the row is not what the entries say', expected.idx);
    }
    this.#expected.anchors = this.#anchors.rows.size;
  }

  #follow(entry: Entry, index: number): void {
    for (const standing of standingAfter(entry)) {
      const key = `${standing.kind} ${standing.id}`;
      const first_idx = this.#standing.get(key)?.first_idx ?? index;
      this.#standing.set(key, { ...standing, first_idx, last_idx: index });
    }
  }

  /** No table may hold more, or less, than the entries make. */
  counts(): void {
    for (const table of REBUILT) {
      const rows = this.#database.prepareColumn<number>(`SELECT count(*) FROM ${table}`).get();
      const expected = this.#expected[table];
      // Of decisions whose entries lie elsewhere, nobody here can say what they made.
      const surplus = this.#unread > 0 && PARTLY_READ.has(table) && Number(rows) > expected;
      if (rows !== expected && !surplus)
        this.#findings.add(table, `it has ${rows} rows, the entries make ${expected}`);
    }
  }

  /** Follows one stream from its first entry to its last, and compares the row that they make. */
  #decision([stream, head, id, status, permit, last_idx, expires_at]: Joined): void {
    const where = `decisions[${stream}]`;
    let expected: DecisionRow | null = null;
    const { entries, whole } = this.#chain(head);
    if (!whole) this.#unread++;
    for (const [index, text] of entries) {
      try {
        const entry = JSON.parse(text) as Entry;
        if (whole) expected = rowAfter(expected, index, entry);
        this.#idempotency(entry);
        this.#breakglass(entry);
        this.#nonce(entry, index);
        this.#watch(entry, index);
        this.#site ??= entry.site;
      } catch (error) {
        // A damaged entry: in which way is the ledger's own finding.
        this.#findings.add(where, `entry ${index} cannot be followed: ${(error as Error).message}`, index);
        return;
      }
    }
    if (id === null) this.#findings.add(where, 'the row is missing', head);
    else if (whole && !sameRow(expected, { id, status, permit, last_idx, expires_at })) {
      this.#findings.add(where, 'the row is not what the entries say', head);
    }
  }

  /** First to last, read backwards from the newest. Ends where the links do not lead backwards, or lead elsewhere. */
  #chain(head: number): { entries: [index: number, text: string][]; whole: boolean } {
    const chain: [number, string][] = [];
    let next: number | null = head;
    while (next !== null) {
      const link = this.#entries.link(next);
      if (link === null) break;
      const [previous, text]: [number | null, string] = link;
      chain.push([next, text]);
      next = previous !== null && previous < next ? previous : null;
    }
    return { entries: chain.reverse(), whole: next === null || !this.#entries.isDark(next) };
  }

  #idempotency(entry: Entry): void {
    const answered = idempotencyOf(entry);
    if (answered === null) return;
    this.#expected.idempotency++;
    const row = this.#kept.get(answered.key);
    if (row?.request === answered.request && row.decision === entry.stream) return;
    this.#findings.add(`idempotency[${answered.key}]`, `it does not say what ${entry.stream} answered`);
  }

  #breakglass(entry: Entry): void {
    const session = sessionOver(entry);
    if (session === null) return;
    this.#expected.under_breakglass++;
    if (this.#under.get(session, entry.stream) !== undefined) return;
    this.#findings.add(`under_breakglass[${session}]`, `it does not name ${entry.stream}`);
  }

  #watch(entry: Entry, index: number): void {
    for (const { kind, who } of watchedBy(entry)) {
      this.#expected.watched++;
      if (this.#watched.get(kind, who, index) === Date.parse(entry.at)) continue;
      this.#findings.add(`watched[${kind} ${who}]`, 'the row is not what the entry says', index);
    }
  }

  #counted({ key, counter }: { key: string; counter: number }): void {
    this.#counters.set(key, Math.max(counter, this.#counters.get(key) ?? 0));
  }

  #nonce(entry: Entry, index: number): void {
    const nonce = nonceOf(entry);
    if (nonce === null) return;
    this.#expected.nonces++;
    const used = keyCounterOf(entry);
    if (used !== null) this.#counted(used);
    if (this.#burnt.get(nonce) === index) return;
    this.#findings.add(`nonces[${nonce}]`, 'it does not name the entry that used it', index);
  }
}

/** What entries of decisions make, beside the decision's own row. */
const PARTLY_READ: ReadonlySet<string> = new Set([
  'idempotency',
  'nonces',
  'key_counters',
  'under_breakglass',
  'watched',
]);

function sameRow(expected: DecisionRow | null, row: DecisionRow): boolean {
  return (
    expected?.id === row.id &&
    expected.status === row.status &&
    expected.permit === row.permit &&
    expected.last_idx === row.last_idx &&
    expected.expires_at === row.expires_at
  );
}
