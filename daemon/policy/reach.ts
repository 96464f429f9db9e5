import { RequestBindings } from '../core/bindings.ts';
import type { Bundle } from '../core/bundle.ts';
import { parseCondition } from '../core/condition.ts';
import type { DecisionRequest } from '../core/request.ts';
import { type ClassRules, inScope } from '../core/rules.ts';

/** Sums of weights that are followed one by one; past that many, everything between the extremes counts as reachable. */
const SUMS_MAX = 4_096;
/** Scores are kept to four decimals (`core/risk.ts`). */
const PRECISION = 10_000;

/** Which scores an action class can get in an environment, and the bands that they fall into. */
export interface Reach {
  least: number;
  most: number;
  bands: string[];
}

/**
 * What a bundle can make of the risk of a class in an environment, whatever is asked. Conditions that depend on nothing
 * but class and environment are computed; all others may hold or not, each by itself.
 */
export function reachOf(bundle: Bundle, actionClass: string, environment: string): Reach {
  const { factors, bands } = bundle.risk;
  let base = bundle.actions[actionClass]?.base_risk ?? 0;
  const open: number[] = [];
  for (const factor of factors) {
    if (!inScope(factor, actionClass, environment)) continue;
    const fixed = fixedAnswer(bundle, factor.condition, actionClass, environment);
    if (fixed === true) base += factor.weight;
    if (fixed === null) open.push(factor.weight);
  }
  const least = clamp(base + sum(open.filter((weight) => weight < 0)));
  const most = clamp(base + sum(open.filter((weight) => weight > 0)));
  const scores = possibleScores(base, open);
  const reached = bands.filter(({ below }, index) => {
    const from = bands[index - 1]?.below ?? 0;
    if (scores === null) return least < below && most >= from;
    return scores.some((score) => score >= from && score < below);
  });
  return { least, most, bands: reached.map(({ band }) => band) };
}

/**
 * The answer of a condition that looks at nothing but class, target type and environment; null when it looks at
 * anything else, or cannot be computed.
 */
export function fixedAnswer(
  bundle: Bundle,
  condition: string,
  actionClass: string,
  environment: string,
): boolean | null {
  if (!isFixed(condition)) return null;
  const definition = bundle.actions[actionClass];
  if (definition === undefined) return null;
  const request: DecisionRequest = {
    action: {
      class: actionClass,
      intent: null,
      target: { type: definition.target.type, id: '' },
      payload: {},
    },
    context: {
      actor: { id: null, role: null },
      environment,
      request_source: null,
      trace: { correlation_id: null, parent_id: null },
      labels: {},
    },
    linked_to: null,
  };
  const rules = { fields: new Map() } as unknown as ClassRules;
  const facts = { now_ms: 0, time_trust: 'trusted' as const };
  return parseCondition(condition).evaluate(new RequestBindings(request, rules, null, environment, facts));
}

/** Errs towards "no": a loop variable of one of these names only means that the condition counts as open. */
function isFixed(condition: string): boolean {
  const code = condition.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""');
  return !/\b(?:payload|labels|actor|context|time)\b/.test(code) && !/\b(?:intent|id)\b|\[/.test(code);
}

/** Every score that some choice of the weights adds up to; null when they are too many to follow. */
function possibleScores(base: number, weights: readonly number[]): number[] | null {
  let sums = new Set([base]);
  for (const weight of weights) {
    const next = new Set(sums);
    for (const before of sums) next.add(Math.round((before + weight) * 1e9) / 1e9);
    if (next.size > SUMS_MAX) return null;
    sums = next;
  }
  return [...sums].map(clamp);
}

function clamp(score: number): number {
  return Math.round(Math.min(1, Math.max(0, score)) * PRECISION) / PRECISION;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
