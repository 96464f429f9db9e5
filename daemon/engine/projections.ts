import type { DecisionStatus, PermitState } from '../core/decision.ts';
import { type StandingKind, standingAfter } from '../core/standing.ts';
import { type WatchedKind, watchedBy } from '../core/watched.ts';
import type { Entry } from '../formats/entry.ts';
import type { Permit } from '../formats/permit.ts';
import type { Database, Statement } from '../ledger/database.ts';
import { type AnchorRow, departedBy, exportedBy } from './anchor-rows.ts';
import { EnvelopeRows } from './envelope-rows.ts';
import { PROJECTION_OBJECTS } from './projection-tables.ts';

/** The WHERE terms repeat those of the partial indexes, or SQLite would scan the table instead. */
const COUNTS = `
SELECT status AS state, count(*) AS n FROM decisions
  WHERE status IN ('evaluated', 'pending_authority') GROUP BY status
UNION ALL
SELECT permit, count(*) FROM decisions WHERE permit IN ('redeemed', 'unknown') GROUP BY permit`;

/** A row of the list view: enough to show and page without opening the stream. */
export interface DecisionRow {
  id: string;
  status: DecisionStatus;
  permit: PermitState;
  last_idx: number;
  expires_at: number | null;
}

/** Something other than a decision that an entry began: a break-glass session, an incident, a suspended key, … */
export interface StandingRow {
  kind: StandingKind;
  id: string;
  /** `closed` when it is over. */
  state: string;
  /** Log index of the entry that began it, and of the newest about it. */
  first_idx: number;
  last_idx: number;
}

/** Something that is watched: in which entry, and when that was recorded (milliseconds since 1970). */
export interface WatchedRow {
  who: string;
  index: number;
  at: number;
}

const WAITING: readonly string[] = ['evaluated', 'pending_authority'];
const OPEN: readonly DecisionStatus[] = ['evaluated', 'pending_authority', 'authorized'];

/** The derived tables of one open ledger: kept up to date entry by entry, and asked by the engine. */
export class Projections {
  readonly envelopes: EnvelopeRows;
  readonly #sql: ReturnType<typeof prepareAll>;

  constructor(database: Database) {
    for (const { sql } of PROJECTION_OBJECTS) {
      database.exec(sql.replace(/^CREATE (TABLE|INDEX)/, 'CREATE $1 IF NOT EXISTS'));
    }
    this.envelopes = new EnvelopeRows(database);
    this.#sql = prepareAll(database);
  }

  /** Brings the tables up to date with one entry, in the caller's transaction. */
  apply(index: number, entry: Entry): void {
    for (const { kind, who } of watchedBy(entry)) this.#sql.watch.run(kind, who, index, Date.parse(entry.at));
    const nonce = nonceOf(entry);
    if (nonce !== null) {
      this.#sql.burn.run(nonce, index);
      const used = keyCounterOf(entry);
      if (used !== null) this.#sql.count.run(used.key, used.counter);
    }
    if (!entry.stream.startsWith('dec_')) {
      this.#stand(index, entry);
      return;
    }
    const before = entry.seq === 0 ? null : this.row(entry.stream);
    const row = rowAfter(before, index, entry);
    if (before === null) this.#sql.insert.run(row.id, row.status, row.permit, index, row.expires_at);
    else this.#sql.update.run(row.status, row.permit, index, row.expires_at, row.id);
    const answered = idempotencyOf(entry);
    if (answered !== null) this.#sql.keep.run(answered.key, answered.request, entry.stream);
    const session = sessionOver(entry);
    if (session !== null) this.#sql.under.run(session, entry.stream);
  }

  #stand(index: number, entry: Entry): void {
    for (const { key, counter } of carriedCounters(entry)) this.#sql.count.run(key, counter);
    for (const { kind, id, state } of standingAfter(entry)) {
      this.#sql.stand.run(kind, id, state, index, index);
    }
    const anchor = exportedBy(index, entry);
    if (anchor !== null) this.#sql.anchor.run(anchor.size, anchor.old, anchor.idx, anchor.at);
    const departed = departedBy(entry);
    if (departed !== null) this.#sql.depart.run(index, departed.acknowledged ? index : null, departed.size);
  }

  /** Links of the chain of anchors below a size, newest first. */
  anchors(below: number, limit: number): AnchorRow[] {
    return this.#sql.anchors.all(below, limit);
  }

  /** The newest link; null while there is none. `departed`, `acknowledged`: of those that are known outside, or at headquarters. */
  newestAnchor(of: 'made' | 'departed' | 'acknowledged' = 'made'): AnchorRow | null {
    return this.#sql.newestAnchor[of].get() ?? null;
  }

  /** How one thing stands; null when no entry ever began it. */
  standing(kind: StandingKind, id: string): StandingRow | null {
    return this.#sql.standing.get(kind, id) ?? null;
  }

  /** What of a kind is not closed yet, oldest first. */
  standingOpen(kind: StandingKind, limit: number): StandingRow[] {
    return this.#sql.standingOpen.all(kind, limit);
  }

  /** Everything of a kind, closed or not, by its id from behind the cursor on. */
  standingPage(kind: StandingKind, after: string, limit: number): StandingRow[] {
    return this.#sql.standingPage.all(kind, after, limit);
  }

  /** The same from the other end: ids in front of the cursor, the highest first. */
  standingBefore(kind: StandingKind, before: string, limit: number): StandingRow[] {
    return this.#sql.standingBefore.all(kind, before, limit);
  }

  /** What stands of a kind about single fields of a decision (`decision/field`). */
  standingFields(kind: StandingKind, decision: string): { field: string; state: string }[] {
    // The character behind the slash ends the range.
    return this.#sql.standingFields.all(decision.length + 2, kind, `${decision}/`, `${decision}0`);
  }

  /** The decisions that were asked for under a break-glass session, oldest first. */
  underBreakglass(session: string, limit: number): string[] {
    return this.#sql.listUnder.all(session, limit);
  }

  /** The newest of what is watched of somebody, newest first. */
  watched(kind: WatchedKind, who: string, limit: number): WatchedRow[] {
    return this.#sql.watched.all(kind, who, limit);
  }

  /** The newest of a kind, whoever's it is, older than the cursor index; newest first. */
  watchedOf(kind: WatchedKind, before: number, limit: number): WatchedRow[] {
    return this.#sql.watchedOf.all(kind, before, limit);
  }

  /** How many decisions have an id behind this one, counted up to `limit`. */
  countAfter(id: string, limit: number): number {
    return this.#sql.countAfter.get(id, limit) ?? 0;
  }

  row(id: string): DecisionRow | null {
    return this.#sql.row.get(id) ?? null;
  }

  /** Newest first, after (older than) the cursor id; `status` filters. */
  list(options: { status: string | null; after: string | null; limit: number }): DecisionRow[] {
    const after = options.after ?? '~';
    if (options.status === null) return this.#sql.newest.all(after, options.limit);
    const query = WAITING.includes(options.status) ? this.#sql.newestWaiting : this.#sql.newestOf;
    return query.all(options.status, after, options.limit);
  }

  /** Decisions that waited for authority too long, oldest first. */
  due(now: number, limit: number): DecisionRow[] {
    return this.#sql.due.all(now, limit);
  }

  /** A page of all decisions in the order of their ids, from behind the cursor on. */
  page(after: string, limit: number): DecisionRow[] {
    return this.#sql.page.all(after, limit);
  }

  /** By the order of their ids, from behind the cursor on. */
  withPermit(state: 'redeemed' | 'unknown', after: string, limit: number): DecisionRow[] {
    return this.#sql.withPermit.all(state, after, limit);
  }

  /** How many decisions wait (`evaluated`: queued, `pending_authority`) or need a look (`redeemed`, `unknown`). */
  counts(): { queued: number; pending: number; redeemed: number; unknown: number } {
    const rows = this.#sql.counts.all();
    const of = (state: string) => rows.find((row) => row.state === state)?.n ?? 0;
    return {
      queued: of('evaluated'),
      pending: of('pending_authority'),
      redeemed: of('redeemed'),
      unknown: of('unknown'),
    };
  }

  /** What an idempotency key was answered with; null when it is new. */
  answered(key: string): { request: string; decision: string } | null {
    return this.#sql.kept.get(key) ?? null;
  }

  nonceUsed(nonce: string): boolean {
    return this.nonceEntry(nonce) !== null;
  }

  /** Log index of the entry that used a nonce up; null while none has. */
  nonceEntry(nonce: string): number | null {
    return this.#sql.burnt.get(nonce)?.idx ?? null;
  }

  /** Highest counter of a security key (`SHA256:…`) in an act that counted; null when none did. */
  keyCounter(key: string): number | null {
    return this.#sql.counter.get(key) ?? null;
  }
}

function prepareAll(database: Database) {
  const row = <R = DecisionRow>(sql: string): Statement<R> => database.prepare<R>(sql);
  return {
    insert: row('INSERT INTO decisions (id, status, permit, last_idx, expires_at) VALUES (?, ?, ?, ?, ?)'),
    update: row('UPDATE decisions SET status = ?, permit = ?, last_idx = ?, expires_at = ? WHERE id = ?'),
    row: row('SELECT * FROM decisions WHERE id = ?'),
    newest: row('SELECT * FROM decisions WHERE id < ? ORDER BY id DESC LIMIT ?'),
    newestOf: row('SELECT * FROM decisions WHERE status = ? AND id < ? ORDER BY id DESC LIMIT ?'),
    newestWaiting:
      row(`SELECT * FROM decisions WHERE status = ? AND status IN ('evaluated', 'pending_authority')
      AND id < ? ORDER BY id DESC LIMIT ?`),
    due: row(`SELECT * FROM decisions WHERE status IN ('evaluated', 'pending_authority') AND expires_at <= ?
      ORDER BY expires_at LIMIT ?`),
    page: row('SELECT * FROM decisions WHERE id > ? ORDER BY id LIMIT ?'),
    withPermit: row(
      `SELECT * FROM decisions WHERE permit = ? AND permit IN ('redeemed', 'unknown') AND id > ?
      ORDER BY id LIMIT ?`,
    ),
    counts: row<{ state: string; n: number }>(COUNTS),
    kept: row<{ request: string; decision: string }>(
      'SELECT request, decision FROM idempotency WHERE key = ?',
    ),
    keep: row('INSERT INTO idempotency (key, request, decision) VALUES (?, ?, ?)'),
    burnt: row<{ idx: number }>('SELECT idx FROM nonces WHERE nonce = ?'),
    burn: row('INSERT INTO nonces (nonce, idx) VALUES (?, ?)'),
    counter: database.prepareColumn<number>('SELECT counter FROM key_counters WHERE key = ?'),
    count: row(`INSERT INTO key_counters (key, counter) VALUES (?, ?)
      ON CONFLICT (key) DO UPDATE SET counter = max(counter, excluded.counter)`),
    stand: row(`INSERT INTO standing (kind, id, state, first_idx, last_idx) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (kind, id) DO UPDATE SET state = excluded.state, last_idx = excluded.last_idx`),
    standing: row<StandingRow>('SELECT * FROM standing WHERE kind = ? AND id = ?'),
    standingOpen: row<StandingRow>(
      `SELECT * FROM standing WHERE kind = ? AND state <> 'closed' ORDER BY first_idx LIMIT ?`,
    ),
    standingPage: row<StandingRow>('SELECT * FROM standing WHERE kind = ? AND id > ? ORDER BY id LIMIT ?'),
    standingBefore: row<StandingRow>(
      'SELECT * FROM standing WHERE kind = ? AND id < ? ORDER BY id DESC LIMIT ?',
    ),
    standingFields: row<{ field: string; state: string }>(
      'SELECT substr(id, ?) AS field, state FROM standing WHERE kind = ? AND id > ? AND id < ? ORDER BY id LIMIT 64',
    ),
    under: row('INSERT INTO under_breakglass (session, decision) VALUES (?, ?)'),
    listUnder: database.prepareColumn<string>(
      'SELECT decision FROM under_breakglass WHERE session = ? ORDER BY decision LIMIT ?',
    ),
    watch: row('INSERT INTO watched (kind, who, idx, at) VALUES (?, ?, ?, ?)'),
    watched: row<WatchedRow>(
      'SELECT who, idx AS "index", at FROM watched WHERE kind = ? AND who = ? ORDER BY idx DESC LIMIT ?',
    ),
    watchedOf: row<WatchedRow>(
      'SELECT who, idx AS "index", at FROM watched WHERE kind = ? AND idx < ? ORDER BY idx DESC LIMIT ?',
    ),
    countAfter: database.prepareColumn<number>(
      'SELECT count(*) FROM (SELECT 1 FROM decisions WHERE id > ? LIMIT ?)',
    ),
    anchor: row('INSERT INTO anchors (size, old, idx, at) VALUES (?, ?, ?, ?)'),
    depart: row(`UPDATE anchors SET departed = coalesce(departed, ?), acknowledged = coalesce(acknowledged, ?)
      WHERE size = (SELECT max(size) FROM anchors WHERE size <= ?)`),
    anchors: row<AnchorRow>('SELECT * FROM anchors WHERE size < ? ORDER BY size DESC LIMIT ?'),
    newestAnchor: {
      made: row<AnchorRow>('SELECT * FROM anchors ORDER BY size DESC LIMIT 1'),
      departed: row<AnchorRow>('SELECT * FROM anchors WHERE departed IS NOT NULL ORDER BY size DESC LIMIT 1'),
      acknowledged: row<AnchorRow>(
        'SELECT * FROM anchors WHERE acknowledged IS NOT NULL ORDER BY size DESC LIMIT 1',
      ),
    },
  };
}

/**
 * A decision's row after one more entry of its stream: pure, so that writing, rebuilding and checking the table agree.
 * Throws when a stream does not start with its first entry.
 */
export function rowAfter(before: DecisionRow | null, index: number, entry: Entry): DecisionRow {
  if ((before === null) !== (entry.seq === 0))
    throw new Error(`projections: ${entry.stream} is out of order`);
  const { transitions, expires_at, permit: granted } = entry.data as unknown as RowData;
  const status = transitions?.at(-1) ?? before?.status ?? 'evaluated';
  const permit = granted === undefined ? permitStateAfter(entry, before?.permit ?? 'none') : 'issued';
  const until = granted?.expires_at ?? expires_at ?? null;
  const due = until === null ? (before?.expires_at ?? null) : Date.parse(until);
  return {
    id: entry.stream,
    status,
    permit,
    last_idx: index,
    expires_at: canExpire(status, permit) ? due : null,
  };
}

/** What a row is made of, wherever in a stream the entry stands. */
interface RowData {
  transitions?: DecisionStatus[];
  expires_at?: string;
  permit?: Permit;
}

function canExpire(status: DecisionStatus, permit: PermitState): boolean {
  return OPEN.includes(status) && (permit === 'none' || permit === 'issued');
}

function permitStateAfter(entry: Entry, before: PermitState): PermitState {
  switch (entry.type) {
    case 'permit.redeemed':
      return 'redeemed';
    case 'permit.outcome':
    case 'decision.reconciled':
      return entry.data.result as PermitState;
    default:
      return before;
  }
}

/** The idempotency key that an entry answered, if any. */
export function idempotencyOf(entry: Entry): { key: string; request: string } | null {
  return entry.seq === 0
    ? ((entry.data.idempotency ?? null) as { key: string; request: string } | null)
    : null;
}

/** The break-glass session that a decision was asked for under; null when there was none. */
export function sessionOver(entry: Entry): string | null {
  const under = entry.seq === 0 ? (entry.data.breakglass as { id: string } | undefined) : undefined;
  return under?.id ?? null;
}

/** The nonce that an entry used up, if any. What was rejected did not count, so its nonce is not spent. */
export function nonceOf(entry: Entry): string | null {
  const { nonce } = entry.data;
  return typeof nonce === 'string' && entry.type !== 'approval.rejected' ? nonce : null;
}

/** Key and counter of an act that counted, where a security key signed it. */
export function keyCounterOf(entry: Entry): { key: string; counter: number } | null {
  if (nonceOf(entry) === null) return null;
  const { key, security_key: use } = entry.data as unknown as SignedData;
  return use === undefined || use === null ? null : { key, counter: use.counter };
}

/** Where the counters of security keys stood in a log that ended, in the first entry of the one that goes on for it. */
export function carriedCounters(entry: Entry): readonly { key: string; counter: number }[] {
  if (entry.type !== 'backup.restored') return [];
  return (entry.data as { counters?: { key: string; counter: number }[] }).counters ?? [];
}

interface SignedData {
  key: string;
  security_key?: { counter: number } | null;
}
