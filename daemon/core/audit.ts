import type { Entry } from '../formats/entry.ts';
import type { Permit } from '../formats/permit.ts';
import { haltWords, type IncidentData } from './incident.ts';

/*
 * Omission evidence: what a complete record would have and this one has not. A ledger that verifies can still lack the
 * outcome of something that ran, or an hour in which nobody was awake.
 */

/** Kinds of findings, in the order in which they are shown. `open` ones wait for somebody. */
export const AUDIT_KINDS = {
  'incident.open': { open: true, words: 'open incidents, each with a halt' },
  'outcome.missing': { open: true, words: 'permits redeemed, without an outcome' },
  'outcome.unknown': { open: true, words: 'outcomes unknown, not reconciled' },
  'breakglass.unreviewed': { open: true, words: 'break-glass sessions that nobody has reviewed' },
  'heartbeat.gap': { open: true, words: 'gaps between heartbeats' },
  'entries.lost': { open: true, words: 'entries known to be lost' },
  'run.broken': { open: true, words: 'runs of the daemon without an end on record' },
  'permit.open': { open: false, words: 'permits not redeemed yet, still valid' },
  'permit.unused': { open: false, words: 'permits never redeemed' },
  'incident.cleared': { open: false, words: 'halts that were resumed' },
  'log.restored': { open: false, words: 'logs that this one goes on for' },
  'run.off': { open: false, words: 'times in which the daemon was stopped' },
} as const;

export type AuditKind = keyof typeof AUDIT_KINDS;

/** One thing that is missing, or that somebody should know of. */
export interface AuditFinding {
  kind: AuditKind;
  /** What it is about: `dec_…`, `inc_…`, `bg_…`, or `system`. */
  id: string;
  /** Log index of the entry that it hangs on. */
  index: number;
  /** When it began. */
  at: string;
  /** When it ended; null while it lasts. */
  until: string | null;
  detail: string;
}

export interface AuditReport {
  entries: number;
  first_at: string | null;
  last_at: string | null;
  counts: Record<AuditKind, number>;
  /** At most 1,000 of each kind, the newest. */
  findings: AuditFinding[];
  /** Whether anything waits for somebody. */
  open: boolean;
}

const KEPT = 1_000;
/** A heartbeat may be late by half its interval and a minute before its absence means anything. */
const LATE = 1.5;
const SLACK_MS = 60_000;

interface Given {
  index: number;
  at: string;
  permit: Permit;
}

/** A sign that the daemon was awake. */
interface Sign {
  type: Entry['type'];
  index: number;
  at: string;
}

/** Takes the entries of a ledger in order, and says at the end what is missing. Keeps only what is still open. */
export class Audit {
  readonly #issued = new Map<string, Given>();
  readonly #redeemed = new Map<string, Given>();
  readonly #standing = new Map<string, AuditFinding>();
  readonly #closed = new Map<AuditKind, { count: number; kept: AuditFinding[] }>();
  readonly #since: number;
  #entries = 0;
  #first: string | null = null;
  #last: Entry | null = null;
  #sign: Sign | null = null;
  #every: number | null = null;

  /** `since`: what was over before then is left out; milliseconds since 1970. */
  constructor(since = Number.NEGATIVE_INFINITY) {
    this.#since = since;
  }

  take(index: number, entry: Entry): void {
    this.#entries++;
    this.#first ??= entry.at;
    if (entry.stream.startsWith('dec_')) this.#decision(index, entry);
    else if (entry.stream === 'system') this.#system(index, entry);
    else this.#other(index, entry);
    this.#last = entry;
  }

  #decision(index: number, entry: Entry): void {
    const { stream, type, at, data } = entry;
    const permit = data.permit as unknown as Permit | undefined;
    if (permit !== undefined) this.#issued.set(stream, { index, at, permit });
    if (type === 'permit.redeemed') {
      const given = this.#issued.get(stream);
      this.#issued.delete(stream);
      if (given !== undefined) this.#redeemed.set(stream, { ...given, index, at });
    } else if (type === 'permit.outcome') {
      const given = this.#redeemed.get(stream);
      this.#redeemed.delete(stream);
      if (data.result === 'unknown' && given !== undefined)
        this.#standing.set(stream, unknownOutcome(given, index, at));
    } else if (type === 'decision.reconciled') {
      this.#standing.delete(stream);
    } else if (type === 'decision.expired' || type === 'decision.cancelled') {
      const given = this.#issued.get(stream);
      this.#issued.delete(stream);
      if (given !== undefined) this.#close(unused(given, at, type === 'decision.cancelled'));
    }
  }

  #other(index: number, { type, stream, at, data, actor }: Entry): void {
    if (type === 'incident.opened') {
      const { halt, detail } = data as unknown as IncidentData;
      const words = `halted: ${haltWords(halt)}. ${detail}`;
      this.#stand({ kind: 'incident.open', id: stream, index, at, until: null, detail: words });
    } else if (type === 'incident.cleared') {
      const open = this.#standing.get(stream);
      this.#standing.delete(stream);
      if (open !== undefined) this.#close({ ...open, kind: 'incident.cleared', until: at });
    } else if (type === 'breakglass.activated') {
      const detail = `opened by ${actor.id ?? 'nobody named'}`;
      this.#stand({ kind: 'breakglass.unreviewed', id: stream, index, at, until: null, detail });
    } else if (type === 'breakglass.ended') {
      const open = this.#standing.get(stream);
      if (open !== undefined) this.#stand({ ...open, until: at });
    } else if (type === 'breakglass.reviewed') {
      this.#standing.delete(stream);
    } else if (type === 'backup.restored') {
      this.#close(restored(index, at, data));
    }
  }

  /** Signs of life: what lies too far apart is a gap, a start after a start is a run without an end. */
  #system(index: number, { type, at, data }: Entry): void {
    if (type !== 'system.started' && type !== 'system.stopped' && type !== 'system.heartbeat') return;
    const every = data.every_ms;
    if (typeof every === 'number') this.#every = every;
    const before = this.#sign;
    this.#sign = { type, index, at };
    if (before === null) return;
    if (before.type === 'system.stopped') {
      const detail = 'it was stopped in order, and started again';
      this.#close({ kind: 'run.off', id: 'system', index: before.index, at: before.at, until: at, detail });
    } else if (type === 'system.started') this.#broken(index, at);
    else this.#gap(before, at);
  }

  /** The last entry of whatever kind is the last that is known of a run that did not end in order. */
  #broken(index: number, at: string): void {
    const seen = this.#last?.at ?? at;
    const detail = `the daemon ended without a word after ${seen}, and was started again`;
    this.#close({ kind: 'run.broken', id: 'system', index, at: seen, until: at, detail });
  }

  #gap(before: Sign, until: string): void {
    const every = this.#every;
    const span = Date.parse(until) - Date.parse(before.at);
    if (every === null || span <= every * LATE + SLACK_MS) return;
    const detail = `no heartbeat for ${Math.round(span / 60_000)} min, where one is due every ${Math.round(every / 60_000)} min`;
    this.#close({ kind: 'heartbeat.gap', id: 'system', index: before.index, at: before.at, until, detail });
  }

  #stand(finding: AuditFinding): void {
    this.#standing.set(finding.id, finding);
  }

  #close(finding: AuditFinding): void {
    // What still lasts is told however long ago it began; a session that ended is open until its review.
    const lasts = finding.until === null || finding.kind === 'breakglass.unreviewed';
    if (!lasts && Date.parse(finding.until ?? finding.at) < this.#since) return;
    const known = this.#closed.get(finding.kind) ?? { count: 0, kept: [] };
    known.count++;
    known.kept.push(finding);
    if (known.kept.length > KEPT) known.kept.shift();
    this.#closed.set(finding.kind, known);
  }

  /**
   * What is missing as of now, in milliseconds since 1970; null for a copy, which ends with its last entry and says nothing
   * of what came after.
   */
  report(live: number | null): AuditReport {
    const now = live ?? Date.parse(this.#last?.at ?? '1970-01-01T00:00:00Z');
    if (live !== null && this.#sign !== null && this.#sign.type !== 'system.stopped')
      this.#gap(this.#sign, new Date(live).toISOString());
    for (const given of this.#redeemed.values()) this.#close(missing(given));
    for (const given of this.#issued.values()) this.#close(notRedeemed(given, now));
    for (const finding of this.#standing.values()) this.#close(finding);
    const kinds = Object.keys(AUDIT_KINDS) as AuditKind[];
    const counts = Object.fromEntries(kinds.map((kind) => [kind, this.#closed.get(kind)?.count ?? 0]));
    return {
      entries: this.#entries,
      first_at: this.#first,
      last_at: this.#last?.at ?? null,
      counts: counts as Record<AuditKind, number>,
      findings: kinds.flatMap((kind) => this.#closed.get(kind)?.kept ?? []),
      open: kinds.some((kind) => AUDIT_KINDS[kind].open && (counts[kind] ?? 0) > 0),
    };
  }
}

function what({ permit }: Given): string {
  return `${permit.tool} on ${permit.target.type}:${permit.target.id} for ${permit.audience}`;
}

/** The beginning of a log that goes on for another one, and what of that one is lost. */
function restored(index: number, at: string, data: Entry['data']): AuditFinding {
  const { former, missing, carried } = data as unknown as {
    former: { origin: string; size: number };
    missing: { from: number; until: number | null };
    carried: { ended: { running: number } };
  };
  const { running } = carried.ended;
  const left = running === 0 ? '' : `; ${running} runs in it had no known outcome`;
  const lost =
    missing.until === null ? '' : `; entries ${missing.from} to ${missing.until - 1} of it are lost`;
  const detail = `goes on for ${former.origin}, restored up to ${former.size} entries${lost}${left}`;
  const kind = missing.until === null ? 'log.restored' : 'entries.lost';
  return { kind, id: former.origin, index, at, until: at, detail };
}

function unknownOutcome(given: Given, index: number, at: string): AuditFinding {
  const { decision_id: id } = given.permit;
  const detail = `${what(given)} was started, and nobody knows how it ended`;
  return { kind: 'outcome.unknown', id, index, at, until: null, detail };
}

function missing(given: Given): AuditFinding {
  const { index, at, permit } = given;
  const detail = `${what(given)} may have run, and nothing was reported`;
  return { kind: 'outcome.missing', id: permit.decision_id, index, at, until: null, detail };
}

function unused({ index, at, permit }: Given, until: string, cancelled: boolean): AuditFinding {
  const detail = `${permit.tool} on ${permit.target.type}:${permit.target.id} was allowed and never started; ${cancelled ? 'cancelled' : 'expired'}`;
  return { kind: 'permit.unused', id: permit.decision_id, index, at, until, detail };
}

/** Expiry is recorded in rounds, so a permit may be over without an entry that says so. */
function notRedeemed(given: Given, now: number): AuditFinding {
  const { index, at, permit } = given;
  if (Date.parse(permit.expires_at) <= now) return unused(given, permit.expires_at, false);
  const detail = `${what(given)} may be started until ${permit.expires_at}`;
  return { kind: 'permit.open', id: permit.decision_id, index, at, until: null, detail };
}
