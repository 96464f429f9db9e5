import type { JsonObject } from '../formats/json.ts';
import type { AnomalyRule, AnomalyRuleOf } from './bundle-anomalies.ts';
import { durationMs } from './duration.ts';
import { inScope } from './rules.ts';
import type { AuthorityGroup } from './verdict.ts';

/** An override, or an approval: where it stands in the ledger and when it came, in milliseconds since 1970. */
export interface Occurrence {
  index: number;
  at: number;
}

/** What happened before, newest first. Each question is bounded: nobody reads the whole ledger for an approval. */
export interface AnomalyHistory {
  /** Approvals and exceptions of the person that counted, this act not among them. */
  approvals(most: number): Occurrence[];
  /** Exceptions, and what was allowed under break-glass. */
  overrides(most: number): Occurrence[];
  /** How many decisions were made since an instant, counted up to `most`. */
  decisions(since_ms: number, most: number): number;
}

/** A signed yes about a decision, or a decision under break-glass, as far as rules look at it. */
export interface Watchable {
  class: string;
  environment: string;
  /** When the decision was made, the act signed, and handed in. */
  created_ms: number;
  issued_ms: number;
  now_ms: number;
  /** Which rules can concern it. */
  watches: readonly AnomalyRule['watch'][];
  /** Whether it is an override that `history` does not hold yet. */
  overriding: boolean;
}

/** A rule that was struck. */
export interface Anomaly {
  rule: AnomalyRule;
  /** What was measured, and against what. */
  counts: JsonObject;
  /** The entries that it follows from, oldest first, at most `EVIDENCE_MAX`; this act is not among them. */
  entries: number[];
  /** In one sentence. */
  words: string;
}

/** A further group that a decision needs, as the entry says that demands it. */
export interface Escalation extends AuthorityGroup {
  reason: string;
}

/** An `anomaly.detected` entry as it is shown. */
export interface ShownAnomaly {
  /** Log index of the entry. */
  record_id: number;
  at: string;
  rule: string;
  watch: string;
  effect: string;
  principal: string | null;
  decision_id: string | null;
  detail: string;
  counts: JsonObject;
  entries: number[];
}

const EVIDENCE_MAX = 20;
/** More overrides are not counted: at the lowest ratio that means 100,000 decisions. */
const OVERRIDES_MAX = 1_000;
const DEFAULT_OVERRIDES = 3;
const DAY_MINUTES = 24 * 60;
const DAY_NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** The rules that an act strikes. Pure: history is asked, never the clock. */
export function judgeAnomalies(
  rules: readonly AnomalyRule[],
  act: Watchable,
  history: AnomalyHistory,
): Anomaly[] {
  return rules.flatMap((rule) => {
    if (!act.watches.includes(rule.watch) || !inScope(rule, act.class, act.environment)) return [];
    const anomaly = judge(rule, act, history);
    return anomaly === null ? [] : [anomaly];
  });
}

function judge(rule: AnomalyRule, act: Watchable, history: AnomalyHistory): Anomaly | null {
  switch (rule.watch) {
    case 'burst':
      return judgeBurst(rule, act, history);
    case 'quick':
      return judgeQuick(rule, act);
    case 'off_hours':
      return judgeHours(rule, act);
    case 'overrides':
      return judgeOverrides(rule, act, history);
  }
}

function judgeBurst(
  rule: AnomalyRuleOf<'burst'>,
  { now_ms }: Watchable,
  history: AnomalyHistory,
): Anomaly | null {
  const since = now_ms - durationMs(rule.within);
  const before = history.approvals(rule.more_than).filter(({ at }) => at > since);
  if (before.length < rule.more_than) return null;
  return {
    rule,
    counts: { approvals: before.length + 1, more_than: rule.more_than, within: rule.within },
    entries: evidence(before),
    words: `more than ${rule.more_than} approvals by one person within ${rule.within}`,
  };
}

/** A signer's clock that stands before the decision says nothing; then it goes by when the act was handed in. */
function judgeQuick(
  rule: AnomalyRuleOf<'quick'>,
  { created_ms, issued_ms, now_ms }: Watchable,
): Anomaly | null {
  const signed = issued_ms < created_ms ? now_ms : Math.min(issued_ms, now_ms);
  const took = Math.max(0, signed - created_ms);
  if (took >= durationMs(rule.at_least)) return null;
  return {
    rule,
    counts: { milliseconds: took, at_least: rule.at_least },
    entries: [],
    words: `signed ${Math.floor(took / 1_000)} s after the decision was made, which is too soon to have read it (${rule.at_least})`,
  };
}

/** Both clocks are looked at: a stolen key could name any hour. */
function judgeHours(rule: AnomalyRuleOf<'off_hours'>, { issued_ms, now_ms }: Watchable): Anomaly | null {
  const off = [issued_ms, now_ms].find((instant) => !withinHours(rule, instant));
  if (off === undefined) return null;
  const local = localTime(rule, off);
  return {
    rule,
    counts: { local_time: local, from: rule.hours.from, to: rule.hours.to, utc_offset: rule.utc_offset },
    entries: [],
    words: `signed or handed in at ${local} local time, outside of working hours`,
  };
}

function withinHours(rule: AnomalyRuleOf<'off_hours'>, instant: number): boolean {
  const [from, to] = [minutesOf(rule.hours.from), minutesOf(rule.hours.to)];
  const local = new Date(instant + offsetMs(rule.utc_offset));
  const minute = local.getUTCHours() * 60 + local.getUTCMinutes();
  const sinceFrom = (minute - from + DAY_MINUTES) % DAY_MINUTES;
  // Equal times are the whole day.
  const length = (to - from + DAY_MINUTES) % DAY_MINUTES || DAY_MINUTES;
  if (sinceFrom >= length) return false;
  const began = DAY_NAMES[new Date(local.getTime() - sinceFrom * 60_000).getUTCDay()];
  return rule.days === undefined || (began !== undefined && rule.days.includes(began));
}

function localTime({ utc_offset }: AnomalyRuleOf<'off_hours'>, instant: number): string {
  const local = new Date(instant + offsetMs(utc_offset));
  return `${DAY_NAMES[local.getUTCDay()]} ${local.toISOString().slice(11, 16)}`;
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

function offsetMs(offset: string): number {
  const minutes = minutesOf(offset.slice(1)) * (offset.startsWith('-') ? -1 : 1);
  return minutes * 60_000;
}

function judgeOverrides(
  rule: AnomalyRuleOf<'overrides'>,
  { now_ms, overriding }: Watchable,
  history: AnomalyHistory,
): Anomaly | null {
  const since = now_ms - durationMs(rule.within);
  const before = history.overrides(OVERRIDES_MAX).filter(({ at }) => at > since);
  const overrides = before.length + (overriding ? 1 : 0);
  if (overrides < (rule.at_least ?? DEFAULT_OVERRIDES)) return null;
  const enough = Math.floor(overrides / rule.above) + 1;
  const decisions = history.decisions(since, enough);
  if (overrides <= decisions * rule.above) return null;
  return {
    rule,
    counts: { overrides, decisions, above: rule.above, within: rule.within },
    entries: evidence(before),
    words: `${overrides} overrides (exceptions, break-glass) among ${decisions} decisions within ${rule.within}`,
  };
}

function evidence(newestFirst: readonly Occurrence[]): number[] {
  return newestFirst
    .slice(0, EVIDENCE_MAX)
    .map(({ index }) => index)
    .reverse();
}

/** The groups that struck rules demand on top of what a decision needs already; each rule demands its own once. */
export function escalations(
  anomalies: readonly Anomaly[],
  required: readonly AuthorityGroup[],
): Escalation[] {
  return anomalies.flatMap(({ rule, words }) => {
    const group = `anomaly.${rule.id}`;
    if (rule.effect !== 'escalate' || rule.escalate_to === undefined) return [];
    if (required.some((known) => known.group === group)) return [];
    const { roles, min_signatures } = rule.escalate_to;
    return [{ group, roles: [...roles], min_signatures, reason: `Rule ${rule.id} asks for more: ${words}.` }];
  });
}
