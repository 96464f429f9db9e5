import { Environment } from '@marcbachmann/cel-js';
import type { BundlePayloadField } from './bundle.ts';
import type { Condition } from './condition.ts';

/** Depth and size at which the checker itself stops; the walk of `condition.ts` is stricter in most ways. */
const LIMITS = {
  maxAstNodes: 1_000,
  maxDepth: 32,
  maxListElements: 100,
  maxMapEntries: 0,
  maxCallArguments: 8,
};

const CEL_TYPES = {
  string: 'string',
  integer: 'int',
  number: 'double',
  boolean: 'bool',
  string_list: 'list<string>',
  secret_ref: 'string',
} as const;

/** The payload of one action class as conditions see it, and the label keys that the bundle declares. */
export interface ConditionScope {
  fields: ReadonlyMap<string, BundlePayloadField>;
  labels: ReadonlySet<string>;
}

/** What is wrong with a condition in a scope. */
export interface TypeDefect {
  found: string;
  write_instead: string;
}

/** Checks conditions against one scope. */
export interface TypeChecker {
  /** Null when the condition is of type bool and every member it reads exists and is there or asked for. */
  check(condition: Condition): TypeDefect | null;
}

/** The checker of one scope. Building it costs more than a check with it. */
export function typeChecker(scope: ConditionScope): TypeChecker {
  const environment = typedEnvironment(scope);
  return { check: (condition) => memberDefect(condition, scope) ?? typeDefect(condition, environment) };
}

/** Source text that changes whenever the outcome of `check` could: the types of the members that are read. */
export function scopeKey(condition: Condition, scope: ConditionScope): string {
  const members = [...condition.reads.payload, ...condition.guards.payload].map((name) => {
    const field = scope.fields.get(name);
    return `${name}:${field?.type}:${field?.required === true}:${field?.sensitive === true}`;
  });
  return [condition.source, ...members.sort()].join('\n');
}

function typedEnvironment({ fields }: ConditionScope): Environment {
  const payload: Record<string, string> = {};
  for (const [name, field] of fields) payload[name] = CEL_TYPES[field.type];
  return new Environment({ unlistedVariablesAreDyn: false, limits: LIMITS })
    .registerVariable({
      name: 'action',
      schema: { class: 'string', intent: 'string', target: { type: 'string', id: 'string' } },
    })
    .registerVariable({ name: 'payload', schema: payload })
    .registerVariable({
      name: 'actor',
      schema: {
        id: 'string',
        kind: 'string',
        role: 'string',
        roles: 'list<string>',
        owner: 'string',
        risk_tier: 'string',
        capabilities: 'list<string>',
      },
    })
    .registerVariable('environment', 'string')
    .registerVariable({
      name: 'context',
      schema: {
        request_source: 'string',
        correlation_id: 'string',
        parent_id: 'string',
        environment_assumed: 'bool',
      },
    })
    .registerVariable('labels', 'map<string, string>')
    .registerVariable({ name: 'time', schema: { hour: 'int', weekday: 'int', trust: 'string' } });
}

function typeDefect(condition: Condition, environment: Environment): TypeDefect | null {
  const { valid, type, error } = environment.check(condition.source);
  if (!valid) {
    const summary = error === undefined ? 'unreadable' : error.summary;
    return {
      found: `a condition that does not type-check: ${summary}`,
      write_instead: 'write one of type bool',
    };
  }
  if (type === 'bool') return null;
  return { found: `a condition of type ${type}`, write_instead: 'write one that is true or false' };
}

/** What the checker cannot know: which members may be absent, and which are sealed away. */
function memberDefect({ reads, guards }: Condition, { fields, labels }: ConditionScope): TypeDefect | null {
  for (const name of [...reads.payload, ...guards.payload]) {
    const field = fields.get(name);
    const defect = field === undefined ? unknownField(name, fields) : sealedField(name, field);
    if (defect !== null) return defect;
  }
  for (const name of reads.payload) {
    if (fields.get(name)?.required !== true && !guards.payload.has(name))
      return unguarded(`payload.${name}`, 'optional');
  }
  for (const name of [...reads.labels, ...guards.labels]) {
    if (!labels.has(name)) {
      return {
        found: `the undeclared label "${name}"`,
        write_instead: 'declare it in labels, or use a declared one',
      };
    }
  }
  for (const name of reads.labels) {
    if (!guards.labels.has(name)) return unguarded(`labels.${name}`, 'never certain to be there');
  }
  return null;
}

function unknownField(name: string, fields: ConditionScope['fields']): TypeDefect {
  const known = [...fields.keys()].join(', ');
  const write_instead = known === '' ? 'leave payload out: the class has no fields' : `use one of ${known}`;
  return { found: `payload.${name}, which the class does not have`, write_instead };
}

function sealedField(name: string, field: BundlePayloadField): TypeDefect | null {
  if (field.sensitive !== true) return null;
  return {
    found: `payload.${name}, which is sensitive`,
    write_instead: 'leave it out: a sensitive value is not kept, so the verdict could not be replayed',
  };
}

function unguarded(member: string, why: string): TypeDefect {
  return {
    found: `${member}, which is ${why}`,
    write_instead: `ask first: has(${member}) && …, or !has(${member}) || …`,
  };
}
