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

/**
 * A checked bundle indexed by what requests name, so that evaluation never looks at a rule that cannot apply. Classes and
 * conditions are made ready when they are first asked for, or by `prepare`.
 */
export interface Rules {
  readonly bundle: Bundle;
  readonly environments: ReadonlySet<string>;
  readonly principals: ReadonlyMap<string, BundlePrincipal>;
  /** Whose identities callers show. */
  readonly peers: PeerIndex;
  readonly labels: ReadonlySet<string>;
  readonly secrets: SecretScanner;
  /** Null when the bundle has no such class. */
  classOf(name: string): ClassRules | null;
  applicable(actionClass: string, environment: string): ApplicableRules;
  /**
   * Makes everything ready in pieces, none of which takes longer than the largest pattern or condition does: first what is
   * `general`, needed by requests of every class, then what is needed by those of `some`.
   */
  prepare(): Iterator<'general' | 'some'>;
}

/** Indexes a bundle that `compile.ts` found to be without defects. `conditionOf` returns the parsed condition of a source. */
export function indexRules(bundle: Bundle, conditionOf: (source: string) => Condition): Rules {
  const classOf = remembered((name: string) => {
    const definition = Object.hasOwn(bundle.actions, name) ? bundle.actions[name] : undefined;
    return definition === undefined ? null : classRules(name, definition);
  });
  const gateOf = remembered((gate: BundleGate) => gateRule(gate, conditionOf));
  const factorOf = remembered((factor: BundleRiskFactor) => factorRule(factor, conditionOf));
  const cache = new Map<string, ApplicableRules>();
  return {
    bundle,
    environments: new Set(Object.keys(bundle.environments)),
    principals: new Map(Object.entries(bundle.principals)),
    peers: peerIndexOf(bundle),
    labels: new Set(bundle.labels ?? []),
    secrets: secretScanner(bundle.secrets?.patterns),
    classOf,
    applicable: (actionClass, environment) => {
      // Both names are known ones, so the cache is as small as the bundle.
      const key = `${actionClass} ${environment}`;
      let rules = cache.get(key);
      if (rules === undefined) {
        const applies = (scope: RuleScope) => inScope(scope, actionClass, environment);
        rules = {
          gates: bundle.gates.filter(applies).map(gateOf),
          factors: bundle.risk.factors.filter(applies).map(factorOf),
          routes: bundle.authority.routes.filter(applies),
        };
        cache.set(key, rules);
      }
      return rules;
    },
    *prepare() {
      for (const part of ['general', 'some'] as const) {
        const belongs = (scope: RuleScope) => isGeneral(scope) === (part === 'general');
        for (const gate of bundle.gates.filter(belongs)) {
          gateOf(gate);
          yield part;
        }
        for (const factor of bundle.risk.factors.filter(belongs)) {
          factorOf(factor);
          yield part;
        }
      }
      for (const name of Object.keys(bundle.actions)) {
        classOf(name);
        yield 'some';
      }
    },
  };
}
export type RuleScope = Pick<BundleGate, 'classes' | 'environments'>;

/** Whether a gate, factor or route applies. An absent or empty list means: to all. */
export function inScope(scope: RuleScope, actionClass: string, environment: string): boolean {
  return lists(scope.classes, actionClass) && lists(scope.environments, environment);
}

function isGeneral({ classes }: RuleScope): boolean {
  return classes === undefined || classes.length === 0;
}

function lists(list: readonly string[] | undefined, name: string): boolean {
  return list === undefined || list.length === 0 || list.includes(name);
}

/** Makes each thing once. That there is none is not remembered: any name may be asked for. */
function remembered<K, V extends object | null>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    if (value !== null) made.set(key, value);
    return value;
  };
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
