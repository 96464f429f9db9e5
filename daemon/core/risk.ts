import type { Bundle } from './bundle.ts';
import type { Bindings } from './condition.ts';
import type { FactorRule } from './rules.ts';
import type { Verdict } from './verdict.ts';

/** Scores are kept to four decimals: sums of binary fractions would print their rounding errors into the ledger. */
const PRECISION = 10_000;

/**
 * Base risk of the class plus the weight of every factor that holds, clamped to 0..1, and the band it falls into. A factor that
 * cannot be computed makes the whole score unknown (null): a partial score would look like a low one.
 */
export function scoreRisk(
  baseRisk: number,
  factors: readonly FactorRule[],
  bands: Bundle['risk']['bands'],
  bindings: Bindings,
): Verdict['risk'] {
  let sum = baseRisk;
  const reasons: string[] = [];
  for (const { condition, weight, reason } of factors) {
    const holds = condition.evaluate(bindings);
    if (holds === null) return { band: null, score: null, reasons: [`Not computable: ${reason}`] };
    if (!holds) continue;
    sum += weight;
    reasons.push(reason);
  }
  const score = Math.round(Math.min(1, Math.max(0, sum)) * PRECISION) / PRECISION;
  const band = bands.find(({ below }) => score < below)?.band ?? null;
  return { band, score: band === null ? null : score, reasons };
}
