import type {
  Bundle,
  BundleActionClass,
  BundleGate,
  BundlePrincipal,
  BundleRiskFactor,
  BundleRoute,
} from './bundle.ts';
import type { Condition } from './condition.ts';
import { durationMs } from './duration.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import { type FieldRule, fieldRules } from './payload.ts';
import { type PeerIndex, peerIndexOf } from './peer.ts';
import { type SecretScanner, secretScanner } from './secrets.ts';
import type { GateResult } from './verdict.ts';

/** Longest target id that is matched; the API lets no longer one in. */
export const TARGET_ID_MAX = 512;
export const DEFAULT_PENDING_TTL = '24h';
export const DEFAULT_PERMIT_TTL = '5m';

/** An action class, ready to judge requests. */
export interface ClassRules {
  readonly name: string;
  readonly definition: BundleActionClass;
  readonly target_id: Pattern;
  readonly environments: ReadonlySet<string> | null;
  readonly fields: ReadonlyMap<string, FieldRule>;
  readonly has_sensitive: boolean;
  readonly pending_ttl_ms: number;
  readonly permit_ttl_ms: number;
}

/** A gate with both of its answers made beforehand: evaluating a request allocates nothing for them. */
export interface GateRule {
  readonly condition: Condition;
  readonly passed: GateResult;
  readonly otherwise: GateResult;
}

export interface FactorRule {
  readonly condition: Condition;
  readonly weight: number;
  readonly reason: string;
}

/** The rules that apply to one class in one environment. */
export interface ApplicableRules {
  readonly gates: readonly GateRule[];
  readonly factors: readonly FactorRule[];
  readonly routes: readonly BundleRoute[];
}

/** A checked bundle indexed by what requests name, so that evaluation never looks at a rule that cannot apply. */
export interface Rules {
  readonly bundle: Bundle;
  readonly environments: ReadonlySet<string>;
  readonly classes: ReadonlyMap<string, ClassRules>;
  readonly principals: ReadonlyMap<string, BundlePrincipal>;
  /** Whose identities callers show. */
  readonly peers: PeerIndex;
  readonly labels: ReadonlySet<string>;
  readonly secrets: SecretScanner;
  applicable(actionClass: string, environment: string): ApplicableRules;
}

/** Indexes a bundle that `compile.ts` found to be without defects. `conditionOf` returns the parsed condition of a source. */
export function indexRules(bundle: Bundle, conditionOf: (source: string) => Condition): Rules {
  const gates = bundle.gates.map((gate) => ({ scope: gate, rule: gateRule(gate, conditionOf) }));
  const factors = bundle.risk.factors.map((factor) => ({
    scope: factor,
    rule: factorRule(factor, conditionOf),
  }));
  const cache = new Map<string, ApplicableRules>();
  return {
    bundle,
    environments: new Set(Object.keys(bundle.environments)),
    classes: new Map(
      Object.entries(bundle.actions).map(([name, action]) => [name, classRules(name, action)]),
    ),
    principals: new Map(Object.entries(bundle.principals)),
    peers: peerIndexOf(bundle),
    labels: new Set(bundle.labels ?? []),
    secrets: secretScanner(bundle.secrets?.patterns),
    applicable: (actionClass, environment) => {
      // Both names are known ones, so the cache is as small as the bundle.
      const key = `${actionClass} ${environment}`;
      let rules = cache.get(key);
      if (rules === undefined) {
        const applies = ({ scope }: { scope: RuleScope }) => inScope(scope, actionClass, environment);
        rules = {
          gates: gates.filter(applies).map(({ rule }) => rule),
          factors: factors.filter(applies).map(({ rule }) => rule),
          routes: bundle.authority.routes.filter((route) => inScope(route, actionClass, environment)),
        };
        cache.set(key, rules);
      }
      return rules;
    },
  };
}

export type RuleScope = Pick<BundleGate, 'classes' | 'environments'>;

/** Whether a gate, factor or route applies. An absent or empty list means: to all. */
export function inScope(scope: RuleScope, actionClass: string, environment: string): boolean {
  return lists(scope.classes, actionClass) && lists(scope.environments, environment);
}

function lists(list: readonly string[] | undefined, name: string): boolean {
  return list === undefined || list.length === 0 || list.includes(name);
}

function classRules(name: string, definition: BundleActionClass): ClassRules {
  const fields = fieldRules(definition);
  return {
    name,
    definition,
    target_id: compilePattern(definition.target.id_pattern, TARGET_ID_MAX),
    environments: definition.environments === undefined ? null : new Set(definition.environments),
    fields,
    has_sensitive: [...fields.values()].some(({ sensitive }) => sensitive),
    pending_ttl_ms: durationMs(definition.pending_ttl ?? DEFAULT_PENDING_TTL),
    permit_ttl_ms: durationMs(definition.permit_ttl ?? DEFAULT_PERMIT_TTL),
  };
}

function gateRule(gate: BundleGate, conditionOf: (source: string) => Condition): GateRule {
  const { id, reason, otherwise, exception_role } = gate;
  return {
    condition: conditionOf(gate.condition),
    passed: Object.freeze({ id, result: 'pass', reason }),
    otherwise: Object.freeze({
      id,
      result: otherwise,
      reason,
      ...(exception_role === undefined ? {} : { exception_role }),
    }),
  };
}

function factorRule(factor: BundleRiskFactor, conditionOf: (source: string) => Condition): FactorRule {
  return { condition: conditionOf(factor.condition), weight: factor.weight, reason: factor.reason };
}
