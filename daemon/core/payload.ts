import { isCommitment } from '../formats/commitment.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { credentialName } from '../formats/secret-reference.ts';
import type { BundleActionClass, BundlePayloadField } from './bundle.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import { isRecordableName, WITHHELD_KEYS } from './scrub.ts';
import type { GateResult } from './verdict.ts';

const DEFAULT_MAX_LENGTH = 1_024;
const DEFAULT_MAX_ITEMS = 50;
/** Unlisted names that a denial spells out; with more, the whole payload is withheld. */
const NAMED_MAX = 16;

/** One member of a class's payload allowlist, ready to check. */
export interface FieldRule {
  readonly name: string;
  readonly type: BundlePayloadField['type'];
  readonly required: boolean;
  readonly sensitive: boolean;
  readonly pattern: Pattern | null;
  readonly choices: ReadonlySet<string> | null;
  readonly max_length: number;
  readonly max_items: number;
  readonly minimum: number;
  readonly maximum: number;
}

/** The payload allowlist of a class. Throws `BoundaryError` `pattern.*`. */
export function fieldRules(actionClass: BundleActionClass): Map<string, FieldRule> {
  return new Map(
    Object.entries(actionClass.payload ?? {}).map(([name, field]) => [name, fieldRule(name, field)]),
  );
}

/** Throws `BoundaryError` `pattern.*` when the field's pattern does not compile or costs too much for its length. */
export function fieldRule(name: string, field: BundlePayloadField): FieldRule {
  const max_length = field.max_length ?? DEFAULT_MAX_LENGTH;
  return {
    name,
    type: field.type,
    required: field.required === true,
    sensitive: field.sensitive === true,
    pattern: field.pattern === undefined ? null : compilePattern(field.pattern, max_length),
    choices: field.enum === undefined ? null : new Set(field.enum),
    max_length,
    max_items: field.max_items ?? DEFAULT_MAX_ITEMS,
    minimum: field.minimum ?? Number.NEGATIVE_INFINITY,
    maximum: field.maximum ?? Number.POSITIVE_INFINITY,
  };
}

/**
 * Failed gates for everything that the allowlist does not let through: `payload.allowlist`, `payload.required`,
 * `payload.field`. They name fields and rules, never values. With `replay` a commitment stands for a sensitive value.
 */
export function checkPayload(
  payload: JsonObject,
  fields: ReadonlyMap<string, FieldRule>,
  replay: boolean,
): GateResult[] {
  const failed: GateResult[] = [];
  const unlisted: string[] = [];
  for (const name of Object.keys(payload)) {
    const rule = fields.get(name);
    if (rule === undefined) {
      unlisted.push(name);
      continue;
    }
    const value = payload[name] as Json;
    if (replay && rule.sensitive && isCommitment(value)) continue;
    const demand = unmetDemand(rule, value);
    if (demand !== null)
      failed.push(fail('payload.field', `payload.${name}`, `payload.${name} must be ${demand}.`));
  }
  if (unlisted.length > 0) failed.push(...unlistedFields(unlisted));
  for (const { name, required } of fields.values()) {
    if (required && !Object.hasOwn(payload, name)) {
      failed.push(fail('payload.required', `payload.${name}`, `payload.${name} is required and missing.`));
    }
  }
  return failed;
}

/** What the value should have been; null when it is right. */
function unmetDemand(rule: FieldRule, value: Json): string | null {
  switch (rule.type) {
    case 'string':
      return unmetTextDemand(rule, value);
    case 'string_list': {
      if (!Array.isArray(value)) return 'a list of texts';
      if (value.length > rule.max_items) return `a list of at most ${rule.max_items} items`;
      for (const item of value) {
        const demand = unmetTextDemand(rule, item);
        if (demand !== null) return `a list in which every item is ${demand}`;
      }
      return null;
    }
    case 'secret_ref':
      if (credentialName(value) === null)
        return 'the name of a credential of the gateway, such as credential:relay-2';
      return unmetTextDemand(rule, value);
    case 'boolean':
      return typeof value === 'boolean' ? null : 'true or false';
    case 'integer':
    case 'number': {
      if (typeof value !== 'number' || (rule.type === 'integer' && !Number.isSafeInteger(value))) {
        return rule.type === 'integer' ? 'a whole number' : 'a number';
      }
      if (value < rule.minimum) return `${rule.minimum} or more`;
      return value > rule.maximum ? `${rule.maximum} or less` : null;
    }
  }
}

function unmetTextDemand(rule: FieldRule, value: Json): string | null {
  if (typeof value !== 'string') return 'text';
  if (value.length > rule.max_length) return `at most ${rule.max_length} characters long`;
  if (rule.choices !== null && !rule.choices.has(value)) return `one of ${[...rule.choices].join(', ')}`;
  if (rule.pattern !== null && !rule.pattern.matchesWhole(value))
    return `text that matches ${rule.pattern.source}`;
  return null;
}

function unlistedFields(names: string[]): GateResult[] {
  if (names.length > NAMED_MAX) {
    const reason = `${names.length} payload fields are not on the allowlist of this action class; nothing of the payload is recorded.`;
    return [fail('payload.allowlist', 'payload', reason)];
  }
  const recordable = names.filter(isRecordableName);
  const failed = recordable.map((name) =>
    fail(
      'payload.allowlist',
      `payload.${name}`,
      `payload.${name} is not on the allowlist of this action class.`,
    ),
  );
  const hidden = names.length - recordable.length;
  if (hidden > 0) {
    const reason = `${hidden} payload ${hidden > 1 ? 'fields' : 'field'} with a name that may not be recorded ${hidden > 1 ? 'are' : 'is'} not on the allowlist.`;
    failed.push(fail('payload.allowlist', `payload.${WITHHELD_KEYS}`, reason));
  }
  return failed;
}

function fail(id: string, field: string, reason: string): GateResult {
  return { id, result: 'fail', reason, field };
}
