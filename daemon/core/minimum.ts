import type { TimeTrust } from '../formats/entry.ts';
import type { BundlePrincipal } from './bundle.ts';
import type { FieldRule } from './payload.ts';
import { lapseOf, lapseWords } from './peer.ts';
import type { DecisionRequest } from './request.ts';
import { type ClassRules, type Rules, TARGET_ID_MAX } from './rules.ts';
import { isRecordableName, WITHHELD_KEYS } from './scrub.ts';
import type { SecretScanner } from './secrets.ts';
import type { GateResult } from './verdict.ts';

/*
 * The checks that hold for every request whatever the bundle's own gates say: who, what, on what, where. Each failed one
 * is a gate of the denial. They name fields, never values, except names that are safe to write down.
 */

/** Assumed when a request names no environment: the strictest one that every site has. */
export const PRODUCTION = 'production';

/** `audit.*`: what must be present for a decision to mean anything to an auditor. */
export function checkAuditFields({ action, context }: DecisionRequest): GateResult[] {
  const missing: GateResult[] = [];
  const demand = (present: boolean, field: string, id: string, what: string) => {
    if (!present) missing.push(fail(id, field, `The request names no ${what}.`));
  };
  demand(hasText(context.actor.id), 'actor.id', 'audit.actor', 'actor');
  demand(hasText(action.class), 'class', 'audit.class', 'action class');
  demand(hasText(action.intent), 'intent', 'audit.intent', 'intent');
  demand(hasText(action.target?.type) && hasText(action.target?.id), 'target', 'audit.target', 'target');
  return missing;
}

/** `environment.unknown`, `class.unknown`, `class.environment`: the request speaks of things this policy knows. */
export function checkPlace(
  rules: Rules,
  name: string | null,
  actionClass: ClassRules | null,
  environment: string,
): GateResult[] {
  const failed: GateResult[] = [];
  if (!rules.environments.has(environment)) {
    failed.push(
      fail('environment.unknown', 'environment', `The policy knows no environment ${named(environment)}.`),
    );
  }
  if (actionClass === null) {
    if (hasText(name)) {
      failed.push(
        fail('class.unknown', 'class', `The policy does not list the action class ${named(name)}.`),
      );
    }
  } else if (actionClass.environments !== null && !actionClass.environments.has(environment)) {
    const reason = `${actionClass.name} is not done in ${named(environment)}.`;
    failed.push(fail('class.environment', 'environment', reason));
  }
  return failed;
}

/** `identity.*`: the actor is a principal that counts, and whose scope reaches this action. */
export function checkActor(
  principal: BundlePrincipal | null,
  { action, context }: DecisionRequest,
  environment: string,
  { now_ms, time_trust }: { now_ms: number; time_trust: TimeTrust },
): GateResult[] {
  const { id, role } = context.actor;
  if (!hasText(id)) return [];
  if (principal === null) {
    return [fail('identity.unknown', 'actor.id', `The policy knows no principal ${named(id)}.`)];
  }
  const failed: GateResult[] = [];
  const lapse = lapseOf(principal, now_ms, time_trust);
  if (lapse !== null)
    failed.push(fail(`identity.${lapse}`, 'actor.id', lapseWords(named(id), lapse, principal)));
  if (role !== null && !principal.roles.includes(role)) {
    failed.push(fail('identity.role', 'actor.role', `${named(id)} does not hold the role ${named(role)}.`));
  }
  const beyond = beyondScope(principal.scope, action, environment);
  if (beyond !== null)
    failed.push(fail('identity.scope', beyond, `${named(id)} may not ask for this ${beyond}.`));
  return failed;
}

/** The first field that the scope does not reach; an absent or empty list reaches everything. */
function beyondScope(
  scope: BundlePrincipal['scope'],
  action: DecisionRequest['action'],
  environment: string,
): string | null {
  if (scope === undefined) return null;
  const outside = (list: readonly string[] | undefined, value: string | null) =>
    list !== undefined && list.length > 0 && (value === null || !list.includes(value));
  if (outside(scope.classes, action.class)) return 'class';
  if (outside(scope.environments, environment)) return 'environment';
  const target = action.target === null ? null : `${action.target.type}:${action.target.id}`;
  return outside(scope.targets, target) ? 'target' : null;
}

/** `target.type`, `target.id`: the target is of the kind that the class acts on. */
export function checkTarget({ action: { target } }: DecisionRequest, actionClass: ClassRules): GateResult[] {
  if (target === null) return [];
  const { type } = actionClass.definition.target;
  if (target.type !== type) {
    return [
      fail(
        'target.type',
        'target.type',
        `${actionClass.name} acts on a ${type}, not on ${named(target.type)}.`,
      ),
    ];
  }
  if (target.id.length <= TARGET_ID_MAX && actionClass.target_id.matchesWhole(target.id)) return [];
  const { source } = actionClass.target_id;
  return [
    fail(
      'target.id',
      'target.id',
      `The target's id does not match ${source}, which ${actionClass.name} demands.`,
    ),
  ];
}

/** `labels.allowlist`: only labels that the bundle declares. */
export function checkLabels(labels: Record<string, string>, declared: ReadonlySet<string>): GateResult[] {
  const failed: GateResult[] = [];
  for (const name of Object.keys(labels)) {
    if (declared.has(name)) continue;
    const field = isRecordableName(name) ? name : WITHHELD_KEYS;
    failed.push(fail('labels.allowlist', `labels.${field}`, `The policy declares no label ${named(name)}.`));
  }
  return failed;
}

/**
 * `secrets.pattern`: nothing that looks like a credential, in any text that would be recorded. Sensitive fields are
 * where secrets belong and are not looked at; unlisted fields are withheld anyway.
 */
export function checkSecrets(
  request: DecisionRequest,
  fields: ReadonlyMap<string, FieldRule> | null,
  secrets: SecretScanner,
): GateResult[] {
  const texts: string[] = [];
  const names: string[] = [];
  const look = (field: string, text: string | null | undefined) => {
    if (typeof text !== 'string' || text === '') return;
    names.push(field);
    texts.push(text);
  };
  const { action, context } = request;
  look('intent', action.intent);
  look('class', action.class);
  look('target.type', action.target?.type);
  look('target.id', action.target?.id);
  look('actor.id', context.actor.id);
  look('actor.role', context.actor.role);
  look('environment', context.environment);
  look('request_source', context.request_source);
  look('trace.correlation_id', context.trace.correlation_id);
  look('trace.parent_id', context.trace.parent_id);
  for (const name of Object.keys(context.labels)) look(`labels.${name}`, context.labels[name]);
  if (fields !== null) lookAtPayload(action.payload, fields, look);
  if (!secrets.anyIn(texts)) return [];
  const failed = new Map<string, GateResult>();
  texts.forEach((text, index) => {
    const field = names[index] ?? '';
    const pattern = failed.has(field) ? null : secrets.find(text);
    if (pattern === null) return;
    const reason = `${field} looks like it holds a secret (${pattern}). It was not recorded.`;
    failed.set(field, fail('secrets.pattern', field, reason));
  });
  return [...failed.values()];
}

function lookAtPayload(
  payload: DecisionRequest['action']['payload'],
  fields: ReadonlyMap<string, FieldRule>,
  look: (field: string, text: string | null | undefined) => void,
): void {
  for (const [name, rule] of fields) {
    if (rule.sensitive || rule.choices !== null || !Object.hasOwn(payload, name)) continue;
    const value = payload[name];
    if (typeof value === 'string') look(`payload.${name}`, value);
    else if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'string') look(`payload.${name}`, item);
      // A secret that was cut into the items of one list is still one.
      if (value.length > 1)
        look(`payload.${name}`, value.filter((item) => typeof item === 'string').join(''));
    }
  }
}

function hasText(value: string | null | undefined): value is string {
  return typeof value === 'string' && value !== '';
}

/** A name that came with the request, quoted when it may be written down. */
function named(name: string): string {
  return isRecordableName(name) ? `"${name}"` : '(a name that may not be recorded)';
}

function fail(id: string, field: string, reason: string): GateResult {
  return { id, result: 'fail', reason, field };
}
