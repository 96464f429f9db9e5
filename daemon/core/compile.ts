import type { Bundle } from './bundle.ts';
import { BundleDefects, type Defect } from './bundle-defects.ts';
import { checkAnchoring } from './check-anchoring.ts';
import { checkAnomalies } from './check-anomalies.ts';
import { checkBreakglass } from './check-breakglass.ts';
import { checkHeadquarters } from './check-headquarters.ts';
import { checkIncidents } from './check-incidents.ts';
import { checkInstants } from './check-instants.ts';
import { checkOidc } from './check-oidc.ts';
import { checkPrincipals } from './check-principals.ts';
import { checkReading } from './check-reading.ts';
import { checkReferences } from './check-references.ts';
import { checkConditions, checkFields } from './check-rules.ts';
import { checkTemplates } from './check-templates.ts';
import { type Condition, parseCondition } from './condition.ts';
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
  /**
   * Makes ready, a small piece at each step, what would otherwise be made ready when a request first needs it: what is
   * `general`, then what only requests of `some` classes need.
   */
  prepare(): Iterator<'general' | 'some'>;
}

/**
 * Checks everything about a bundle that its structure cannot say: references between sections, durations and bands,
 * payload rules, patterns, keys, templates, and the type of every condition in every class that it applies to.
 *
 * Throws `BundleDefects` with all defects of the bundle. One with any defect is refused whole. `proven`: public key lines
 * of a bundle that was checked before.
 */
export function compileBundle(
  bundle: Bundle,
  digest: string,
  proven: ReadonlySet<string> = new Set(),
): CompiledBundle {
  const { defects, conditions } = checkBundle(bundle, proven);
  if (defects.length > 0) throw new BundleDefects(defects);
  return compiledBundle(bundle, digest, conditions);
}

/**
 * The same for a bundle that `compileBundle` has found to be without defects before, in another thread or at another
 * time: it is opened at once, and its rules are made ready one by one, by `prepare` or when a request first needs them.
 * With a defective bundle `evaluate` may throw `BoundaryError`.
 */
export function openCheckedBundle(bundle: Bundle, digest: string): CompiledBundle {
  return compiledBundle(bundle, digest, new Map());
}

/** `conditions`: those that are parsed already, by source. */
function compiledBundle(bundle: Bundle, digest: string, conditions: Map<string, Condition>): CompiledBundle {
  const rules = indexRules(bundle, (source) => {
    const condition = conditions.get(source) ?? parseCondition(source);
    conditions.set(source, condition);
    return condition;
  });
  return {
    bundle,
    digest,
    version: `${bundle.metadata.name}@${bundle.metadata.version}`,
    secrets: rules.secrets,
    peers: rules.peers,
    evaluate: (request, facts) => evaluateRequest(rules, request, facts),
    prepare: () => rules.prepare(),
  };
}

function checkBundle(
  bundle: Bundle,
  proven: ReadonlySet<string>,
): { defects: Defect[]; conditions: Map<string, Condition> } {
  const { defects, conditions } = checkConditions(bundle);
  const all = [
    ...checkReferences(bundle),
    ...checkFields(bundle),
    ...checkInstants(bundle),
    ...checkTemplates(bundle),
    ...checkPrincipals(bundle, proven),
    ...checkBreakglass(bundle),
    ...checkOidc(bundle),
    ...checkHeadquarters(bundle),
    ...checkIncidents(bundle),
    ...checkReading(bundle),
    ...checkAnomalies(bundle),
    ...checkAnchoring(bundle),
    ...defects,
  ];
  return { defects: all, conditions };
}
