import { BoundaryError } from '../formats/boundary-error.ts';
import type { Bundle, BundleActionClass, BundlePayloadField } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { type Condition, parseCondition } from './condition.ts';
import {
  type ConditionScope,
  scopeKey,
  type TypeChecker,
  type TypeDefect,
  typeChecker,
} from './condition-types.ts';
import { compilePattern } from './pattern.ts';
import { fieldRule } from './payload.ts';
import { type RuleScope, TARGET_ID_MAX } from './rules.ts';
import { secretPattern } from './secrets.ts';

type Path = (string | number)[];

/** Payload fields whose rules contradict their type, and patterns that do not compile. */
export function checkFields(bundle: Bundle): Defect[] {
  const defects: Defect[] = [];
  for (const [name, action] of Object.entries(bundle.actions)) {
    const at: Path = ['actions', name];
    const pattern = action.target.id_pattern;
    defects.push(
      ...patternDefect(() => compilePattern(pattern, TARGET_ID_MAX), [...at, 'target', 'id_pattern']),
    );
    for (const [field, rule] of Object.entries(action.payload ?? {})) {
      const path = [...at, 'payload', field];
      defects.push(
        ...foreignRules(rule, path),
        ...patternDefect(() => fieldRule(field, rule), [...path, 'pattern']),
      );
    }
  }
  bundle.secrets?.patterns.forEach(({ pattern }, index) => {
    defects.push(...patternDefect(() => secretPattern(pattern), ['secrets', 'patterns', index, 'pattern']));
  });
  return defects;
}

function patternDefect(compile: () => unknown, path: Path): Defect[] {
  try {
    compile();
    return [];
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const write_instead = 'write a regular expression in RE2 syntax; it is matched against the whole text';
    return [{ pointer: pointerOf(...path), found: error.message, write_instead }];
  }
}

/** Rules that each type understands; any other would silently do nothing. */
const RULES_OF = {
  string: ['pattern', 'max_length', 'enum'],
  string_list: ['pattern', 'max_length', 'enum', 'max_items'],
  integer: ['minimum', 'maximum'],
  number: ['minimum', 'maximum'],
  boolean: [],
  secret_ref: ['enum'],
} as const;
const COMMON_RULES = ['type', 'description', 'required', 'sensitive'];

function foreignRules(field: BundlePayloadField, path: Path): Defect[] {
  const own: readonly string[] = [...COMMON_RULES, ...RULES_OF[field.type]];
  const defects = Object.keys(field)
    .filter((rule) => !own.includes(rule))
    .map((rule) => ({
      pointer: pointerOf(...path, rule),
      found: `${rule} on a field of type ${field.type}`,
      write_instead: `leave it out; ${field.type} takes ${RULES_OF[field.type].join(', ') || 'no further rules'}`,
    }));
  if (field.type === 'secret_ref' && field.sensitive !== undefined) {
    defects.push({
      pointer: pointerOf(...path, 'sensitive'),
      found: 'sensitive on a field of type secret_ref',
      write_instead: 'leave it out; the field holds a name, and the secret itself is never sent here',
    });
  }
  const { minimum, maximum } = field;
  if (minimum !== undefined && maximum !== undefined && minimum > maximum) {
    defects.push({
      pointer: pointerOf(...path, 'minimum'),
      found: `minimum ${minimum} above maximum ${maximum}`,
      write_instead: 'write a range that holds a number',
    });
  }
  return defects;
}

/**
 * Checks every condition against every class it applies to, and returns the parsed ones by source: each text is parsed
 * once, and type-checked once for each different set of members that it reads.
 */
export function checkConditions(bundle: Bundle): { defects: Defect[]; conditions: Map<string, Condition> } {
  const checked: ConditionCheck = { conditions: new Map(), checkers: new Map(), outcomes: new Map() };
  const rules = [
    ...bundle.gates.map((rule, index) => ({ rule, path: ['gates', index] })),
    ...bundle.risk.factors.map((rule, index) => ({ rule, path: ['risk', 'factors', index] })),
  ];
  const defects = rules.flatMap(({ rule, path }) => {
    const outcome = checkCondition(bundle, rule, checked);
    return outcome === null ? [] : [{ pointer: pointerOf(...path, 'condition'), ...outcome }];
  });
  return { defects, conditions: checked.conditions };
}

interface ConditionCheck {
  conditions: Map<string, Condition>;
  checkers: Map<string, { scope: ConditionScope; checker: TypeChecker }>;
  outcomes: Map<string, TypeDefect | null>;
}

function checkCondition(
  bundle: Bundle,
  rule: RuleScope & { condition: string },
  checked: ConditionCheck,
): TypeDefect | null {
  const condition = parsed(rule.condition, checked.conditions);
  if (condition instanceof BoundaryError) {
    return { found: condition.message, write_instead: 'write a CEL expression that is true or false' };
  }
  for (const [name, action] of Object.entries(bundle.actions)) {
    if (rule.classes !== undefined && rule.classes.length > 0 && !rule.classes.includes(name)) continue;
    const { scope, checker } = checkerOf(bundle, name, action, checked.checkers);
    const key = scopeKey(condition, scope);
    let outcome = checked.outcomes.get(key);
    if (outcome === undefined) {
      outcome = checker.check(condition);
      checked.outcomes.set(key, outcome);
    }
    if (outcome !== null) return { ...outcome, found: `${outcome.found} (for ${name})` };
  }
  return null;
}

function parsed(source: string, conditions: Map<string, Condition>): Condition | BoundaryError {
  const known = conditions.get(source);
  if (known !== undefined) return known;
  try {
    const condition = parseCondition(source);
    conditions.set(source, condition);
    return condition;
  } catch (error) {
    if (error instanceof BoundaryError) return error;
    throw error;
  }
}

function checkerOf(
  bundle: Bundle,
  name: string,
  action: BundleActionClass,
  checkers: ConditionCheck['checkers'],
): { scope: ConditionScope; checker: TypeChecker } {
  let entry = checkers.get(name);
  if (entry === undefined) {
    const scope = {
      fields: new Map(Object.entries(action.payload ?? {})),
      labels: new Set(bundle.labels ?? []),
    };
    entry = { scope, checker: typeChecker(scope) };
    checkers.set(name, entry);
  }
  return entry;
}
