import type { Bundle, BundleGate, BundleRiskFactor } from '../../core/bundle.ts';
import { json, quoted, same, scopeWords } from './words.ts';

/** What is checked: gates added, removed, widened, narrowed, or with another consequence. */
export function gateChanges(before: Bundle, after: Bundle): string[] {
  const was = byId(before.gates);
  const is = byId(after.gates);
  return [
    ...[...is.values()].flatMap((gate) => {
      const old = was.get(gate.id);
      if (old !== undefined) return gateDifferences(old, gate);
      return [
        `The gate ${gate.id} is new for ${scopeWords(gate)}: unless ${gate.condition}, ${consequence(gate)}.`,
      ];
    }),
    ...[...was.values()]
      .filter(({ id }) => !is.has(id))
      .map((gate) => `The gate ${gate.id} is gone: ${scopeWords(gate)} passes without "${gate.condition}".`),
  ];
}

function gateDifferences(was: BundleGate, is: BundleGate): string[] {
  const changes: string[] = [];
  const scopes = [scopeWords(was), scopeWords(is)] as const;
  if (scopes[0] !== scopes[1])
    changes.push(`The gate ${is.id} now applies to ${scopes[1]} (was ${scopes[0]}).`);
  if (was.condition !== is.condition) {
    changes.push(
      `The gate ${is.id} now demands ${quoted(is.condition)} instead of ${quoted(was.condition)}.`,
    );
  }
  if (consequence(was) !== consequence(is)) {
    changes.push(`When the gate ${is.id} does not pass, ${consequence(is)} (before: ${consequence(was)}).`);
  }
  return changes;
}

function consequence({ otherwise, exception_role }: BundleGate): string {
  return otherwise === 'fail' ? 'it is denied' : `it needs an exception by ${exception_role}`;
}

/** How risk is counted: factors and bands. */
export function riskChanges(before: Bundle, after: Bundle): string[] {
  const was = byId(before.risk.factors);
  const is = byId(after.risk.factors);
  return [
    ...[...is.values()].flatMap((factor) => {
      const old = was.get(factor.id);
      if (old !== undefined) return factorDifferences(old, factor);
      return [
        `The risk factor ${factor.id} is new: ${effect(factor.weight)} of ${scopeWords(factor)} when ${factor.condition}.`,
      ];
    }),
    ...[...was.values()]
      .filter(({ id }) => !is.has(id))
      .map((factor) => `The risk factor ${factor.id} (${signed(factor.weight)}) is gone.`),
    ...bandChanges(before, after),
  ];
}

function factorDifferences(was: BundleRiskFactor, is: BundleRiskFactor): string[] {
  const changes: string[] = [];
  const scopes = [scopeWords(was), scopeWords(is)] as const;
  if (scopes[0] !== scopes[1]) {
    changes.push(`The risk factor ${is.id} now applies to ${scopes[1]} (was ${scopes[0]}).`);
  }
  if (was.condition !== is.condition) {
    changes.push(
      `The risk factor ${is.id} now counts when ${quoted(is.condition)} instead of ${quoted(was.condition)}.`,
    );
  }
  if (was.weight !== is.weight) {
    changes.push(`The risk factor ${is.id} now counts ${signed(is.weight)} (was ${signed(was.weight)}).`);
  }
  return changes;
}

function bandChanges(before: Bundle, after: Bundle): string[] {
  if (same(before.risk.bands, after.risk.bands)) return [];
  const words = ({ risk: { bands } }: Bundle) =>
    bands.map(({ band }, index) => `${band} from ${json(bands[index - 1]?.below ?? 0)}`).join(', ');
  if (Object.keys(before.actions).length === 0) return [`Risk bands: ${words(after)}.`];
  return [`Risk bands are now: ${words(after)} (were: ${words(before)}).`];
}

function effect(weight: number): string {
  return `${weight < 0 ? 'lowers' : 'raises'} the risk by ${Math.abs(weight)}`;
}

function signed(weight: number): string {
  return weight < 0 ? String(weight) : `+${weight}`;
}

function byId<T extends { id: string }>(rules: readonly T[]): Map<string, T> {
  return new Map(rules.map((rule) => [rule.id, rule]));
}
