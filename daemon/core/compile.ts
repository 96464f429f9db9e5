import type { Bundle } from './bundle.ts';
import { BundleDefects, type Defect } from './bundle-defects.ts';
import { checkPrincipals } from './check-principals.ts';
import { checkReferences } from './check-references.ts';
import { checkConditions, checkFields } from './check-rules.ts';
import { checkTemplates } from './check-templates.ts';
import type { Condition } from './condition.ts';
import { evaluateRequest, type Facts } from './evaluate.ts';
import type { PeerIndex } from './peer.ts';
import type { DecisionRequest } from './request.ts';
import { indexRules } from './rules.ts';
import type { SecretScanner } from './secrets.ts';
import type { Verdict } from './verdict.ts';

/** A bundle that has been checked in every respect and is ready to judge requests. */
export interface CompiledBundle {
  readonly bundle: Bundle;
  /** Hex SHA-256 of the bundle's bytes: the policy digest. */
  readonly digest: string;
  /** `name@version`, as decisions show it. */
  readonly version: string;
  /** Built-in patterns and those of the bundle. */
  readonly secrets: SecretScanner;
  /** Whose identities callers show. */
  readonly peers: PeerIndex;
  /** Pure; see `evaluateRequest`. */
  evaluate(request: DecisionRequest, facts: Facts): Verdict;
}

/**
 * Checks everything about a bundle that its structure cannot say: references between sections, durations and bands,
 * payload rules, patterns, keys, templates, and the type of every condition in every class that it applies to.
 *
 * Throws `BundleDefects` with all defects of the bundle. One with any defect is refused whole.
 */
export function compileBundle(bundle: Bundle, digest: string): CompiledBundle {
  const { defects, conditions } = checkBundle(bundle);
  if (defects.length > 0) throw new BundleDefects(defects);
  const rules = indexRules(bundle, (source) => conditionOf(conditions, source));
  return {
    bundle,
    digest,
    version: `${bundle.metadata.name}@${bundle.metadata.version}`,
    secrets: rules.secrets,
    peers: rules.peers,
    evaluate: (request, facts) => evaluateRequest(rules, request, facts),
  };
}

function checkBundle(bundle: Bundle): { defects: Defect[]; conditions: Map<string, Condition> } {
  const { defects, conditions } = checkConditions(bundle);
  const all = [
    ...checkReferences(bundle),
    ...checkFields(bundle),
    ...checkTemplates(bundle),
    ...checkPrincipals(bundle),
    ...defects,
  ];
  return { defects: all, conditions };
}

function conditionOf(conditions: Map<string, Condition>, source: string): Condition {
  const condition = conditions.get(source);
  if (condition === undefined) throw new Error('compile: a condition that was checked is missing');
  return condition;
}
