import type { Entry } from '../formats/entry.ts';
import type { CompiledBundle } from './compile.ts';
import type { FirstData } from './create.ts';
import { evaluateWithoutPolicy, type Facts } from './evaluate.ts';
import type { StalePolicy } from './freshness.ts';
import type { DecisionRequest } from './request.ts';
import { isWithholding } from './scrub.ts';
import { gateNames } from './shadow.ts';
import type { EnforcementResult, GateResult, ShadowRuling, Verdict } from './verdict.ts';

/** The parts of a verdict that decide anything; sentences for people are not among them. */
export interface Ruling {
  result: EnforcementResult;
  /** Gates that did not pass, as `id`, `id field` or `id field requires_exception`, sorted. */
  gates: string[];
  band: string | null;
  score: number | null;
  authority: Verdict['authority'];
  call: Verdict['call'];
  /** Of a class in shadow: what would have been. */
  shadow?: ShadowRuling;
}

/** A recorded decision judged again. */
export interface Replay {
  recorded: Ruling;
  replayed: Ruling;
  /** Sentences of the new verdict. */
  reasons: string[];
  /**
   * True when the request held something that may not be recorded (a secret, an unlisted field). What was denied for it
   * cannot be judged again: those denials stand.
   */
  withheld: boolean;
}

/** What of a decision's first entry it takes to judge it again. */
export type DecisionEntry = Pick<Entry, 'site' | 'stream' | 'at' | 'time_trust' | 'actor' | 'data'>;

/** Whether an entry is the first of a decision, which is what can be replayed. */
export function isDecisionEntry(entry: Entry): boolean {
  return entry.seq === 0 && entry.stream.startsWith('dec_');
}

/**
 * Judges a recorded request again, under the bundle it was judged by or under another one. Pure: everything comes from
 * the entry. Commitments stand for sensitive values, which were judged when they came in. `policy` null: no policy was in
 * force. `freshness`: as recorded, unless another is to be assumed (null: a fresh policy).
 */
export function replayDecision(
  entry: DecisionEntry,
  policy: CompiledBundle | null,
  freshness: StalePolicy | null = (entry.data as unknown as FirstData).freshness ?? null,
): Replay {
  const data = entry.data as unknown as FirstData;
  const request = recordedRequest(entry);
  const facts: Facts = {
    decision_id: entry.stream,
    now_ms: Date.parse(entry.at),
    time_trust: entry.time_trust,
    replay: true,
    ...(freshness === null ? {} : { freshness }),
    ...(data.anchoring === undefined ? {} : { anchoring: data.anchoring }),
    ...(data.breakglass === undefined ? {} : { breakglass: data.breakglass }),
    ...(data.peer === undefined ? {} : { peer: data.peer, site: entry.site }),
    ...(data.stops === undefined ? {} : { stops: data.stops }),
  };
  const verdict = policy === null ? evaluateWithoutPolicy(request, facts) : policy.evaluate(request, facts);
  const kept = data.gates.filter(isWithholding);
  return {
    recorded: recordedRuling(data),
    replayed: rulingOf(kept.length === 0 ? verdict : withKept(verdict, data, kept)),
    reasons: verdict.reasons,
    withheld: kept.length > 0,
  };
}

/** The request as it may be known from its entry: commitments and withheld marks where values were. */
function recordedRequest(entry: DecisionEntry): DecisionRequest {
  const { action, context, environment_assumed, linked_to } = entry.data as unknown as FirstData;
  return {
    action: { class: action.class, intent: action.intent, target: action.target, payload: action.payload },
    context: {
      actor: { id: entry.actor.id, role: entry.actor.role },
      environment: environment_assumed === true ? null : context.environment,
      request_source: context.request_source ?? null,
      trace: context.trace ?? { correlation_id: null, parent_id: null },
      labels: context.labels ?? {},
    },
    linked_to: linked_to ?? null,
  };
}

/** What differs between two rulings, one sentence each; empty when they are the same. */
export function differences(recorded: Ruling, replayed: Ruling): string[] {
  const found: string[] = [];
  const compare = (what: string, was: unknown, is: unknown) => {
    const [before, after] = [JSON.stringify(was), JSON.stringify(is)];
    if (before !== after) found.push(`${what}: recorded ${before}, replayed ${after}`);
  };
  compare('result', recorded.result, replayed.result);
  compare('gates', recorded.gates, replayed.gates);
  compare('risk band', recorded.band, replayed.band);
  compare('risk score', recorded.score, replayed.score);
  compare('authority', inOrder(recorded.authority), inOrder(replayed.authority));
  compare('call', inOrder(recorded.call), inOrder(replayed.call));
  compare('shadow', inOrder(recorded.shadow ?? null), inOrder(replayed.shadow ?? null));
  return found;
}

function recordedRuling(data: FirstData): Ruling {
  const { enforcement, gates, risk, authority, permit, call, shadow } = data;
  // A denial and a request that waits for time have no call; an allowed one has it in its permit.
  return {
    result: enforcement.result,
    gates: gateNames(gates),
    band: risk.band,
    score: risk.score,
    authority,
    call: permit?.call ?? call ?? null,
    ...(shadow?.class === undefined ? {} : { shadow: shadow.class }),
  };
}

function rulingOf({ result, gates, risk, authority, call, shadow }: Verdict): Ruling {
  return {
    result,
    gates: gateNames(gates),
    band: risk.band,
    score: risk.score,
    authority,
    call: result === 'allow' || result === 'escalate' ? call : null,
    ...(shadow === undefined ? {} : { shadow }),
  };
}

/** What a withheld field was denied for cannot be seen in its mark, so its recorded gates stand in for the new ones. */
function withKept(verdict: Verdict, data: FirstData, kept: readonly GateResult[]): Verdict {
  const fields = new Set(kept.map(({ field }) => field));
  const covered = ({ field }: GateResult) =>
    field !== undefined && (fields.has(field) || (fields.has('payload') && field.startsWith('payload')));
  const gates = [...data.gates.filter(covered), ...verdict.gates.filter((gate) => !covered(gate))];
  return {
    ...verdict,
    gates,
    risk: { band: null, score: null, reasons: [] },
    authority: { route: null, required: [] },
    result: 'deny',
    // What it was denied for would have been seen there too.
    ...(verdict.shadow === undefined || data.shadow?.class === undefined
      ? {}
      : { shadow: data.shadow.class }),
  };
}

/** With members in one order, so that texts can be compared. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, inOrder(member)]));
}
