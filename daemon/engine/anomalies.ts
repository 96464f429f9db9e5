import {
  type Anomaly,
  type AnomalyHistory,
  judgeAnomalies,
  type ShownAnomaly,
  type Watchable,
} from '../core/anomaly.ts';
import type { AnomalyRule } from '../core/bundle-anomalies.ts';
import type { Decision } from '../core/decision.ts';
import { durationMs } from '../core/duration.ts';
import { ANYBODY, anomalyKey } from '../core/watched.ts';
import { decodeEntry, type EntryActor } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import type { Batch, EngineState } from './context.ts';
import type { LoadedPolicy } from './stored-bundles.ts';

/** Stream of everything out of the ordinary. */
const ANOMALY_STREAM = 'anomalies';
const SYSTEM: EntryActor = { id: null, role: 'system' };
const DEFAULT_QUIET = '1h';
const DAY_MS = 86_400_000;
/** More a day are not counted. */
const COUNTED_MAX = 10_000;

/** The rules of `policy` that a signed act about a decision strikes. A "no" strikes none. */
export function anomaliesOf(
  batch: Batch,
  policy: LoadedPolicy,
  decision: Decision,
  { act, principal }: { act: SignedAct; principal: string },
): Anomaly[] {
  const rules = policy.compiled.bundle.anomalies ?? [];
  if (rules.length === 0 || act.answer !== 'approve') return [];
  const excepts = act.kind === 'exception';
  const about: Watchable = {
    class: decision.action.class ?? '',
    environment: decision.context.environment,
    created_ms: Date.parse(decision.timestamps.created_at),
    issued_ms: Date.parse(act.issued_at),
    now_ms: batch.now,
    watches: ['burst', 'quick', 'off_hours', ...(excepts ? (['overrides'] as const) : [])],
    overriding: excepts,
  };
  return judgeAnomalies(rules, about, historyOf(batch.state, principal));
}

/** Looks at what break-glass allowed just now. It is never held up by it. */
export function noteBreakglass(batch: Batch, policy: LoadedPolicy, decision: string, place: Place): void {
  const rules = policy.compiled.bundle.anomalies ?? [];
  if (rules.length === 0) return;
  const { now } = batch;
  const about: Watchable = {
    ...place,
    created_ms: now,
    issued_ms: now,
    now_ms: now,
    watches: ['overrides'],
    overriding: false,
  };
  const struck = judgeAnomalies(rules, about, historyOf(batch.state, ANYBODY));
  recordAnomalies(batch, struck, { principal: null, decision, entry: null, effect: 'record' });
}

type Place = Pick<Watchable, 'class' | 'environment'>;

function historyOf({ projections }: EngineState, principal: string): AnomalyHistory {
  return {
    approvals: (most) => projections.watched('approval', principal, most),
    overrides: (most) => projections.watched('override', ANYBODY, most),
    decisions: (since_ms, most) => projections.countAfter(firstIdAt(since_ms), most),
  };
}

/** Ids of decisions begin with the instant at which they were made. */
function firstIdAt(ms: number): string {
  const hex = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `dec_${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** What struck rules are about. */
export interface About {
  /** Whose act it is; null for the site as a whole. */
  principal: string | null;
  decision: string;
  /** Log index of the act's entry. */
  entry: number | null;
  /** What was done about it, where that is not the rule's own effect. */
  effect?: AnomalyRule['effect'];
}

/** One `anomaly.detected` for each struck rule, unless the same was said of the same person a short while ago. */
export function recordAnomalies(batch: Batch, struck: readonly Anomaly[], about: About): void {
  for (const { rule, counts, entries, words } of struck) {
    if (!isNews(batch, rule.id, about.principal, durationMs(rule.quiet ?? DEFAULT_QUIET))) continue;
    batch.record(ANOMALY_STREAM, 'anomaly.detected', SYSTEM, {
      rule: rule.id,
      watch: rule.watch,
      effect: about.effect ?? rule.effect,
      principal: about.principal,
      decision_id: about.decision,
      entry: about.entry,
      entries,
      counts,
      detail: words,
    });
  }
}

/** Puts on record, once an hour for each actor, that the policy's limits were reached. */
export function recordLimit(batch: Batch, limit: string, principal: string | null, counts: JsonObject): void {
  if (!isNews(batch, limit, principal, durationMs(DEFAULT_QUIET))) return;
  batch.record(ANOMALY_STREAM, 'anomaly.detected', SYSTEM, {
    rule: limit,
    watch: 'limits',
    effect: 'reject',
    principal,
    decision_id: null,
    entry: null,
    entries: [],
    counts,
    detail: `${principal ?? 'an actor that the policy does not know'} reached the limit`,
  });
}

/** A clock that was set back must not silence a rule: what was recorded later than now was not recorded lately. */
function isNews({ state, now }: Batch, rule: string, principal: string | null, quiet_ms: number): boolean {
  const [last] = state.projections.watched('anomaly', anomalyKey(rule, principal), 1);
  return last === undefined || last.at > now || last.at <= now - quiet_ms;
}

/** What status says: how many there were within a day, and the newest. */
export function anomalySummary(state: EngineState | null, now: number): object | null {
  if (state === null) return null;
  const newest = state.projections.watchedOf('anomaly', Number.MAX_SAFE_INTEGER, COUNTED_MAX);
  const last_day = newest.filter(({ at }) => at > now - DAY_MS).length;
  const [first] = listAnomalies(state, Number.MAX_SAFE_INTEGER, 1);
  return { last_day, newest: first ?? null };
}

/** Newest first, older than the cursor index. */
export function listAnomalies(
  { projections, ledger }: EngineState,
  before: number,
  limit: number,
): ShownAnomaly[] {
  return projections.watchedOf('anomaly', before, limit).flatMap(({ index }) => {
    const bytes = ledger.entry(index);
    if (bytes === null) return [];
    const { at, data } = decodeEntry(bytes);
    const { rule, watch, effect, principal, decision_id, detail, counts, entries } = data as unknown as Omit<
      ShownAnomaly,
      'record_id' | 'at'
    >;
    return [{ record_id: index, at, rule, watch, effect, principal, decision_id, detail, counts, entries }];
  });
}
