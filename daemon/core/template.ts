import { BoundaryError } from '../formats/boundary-error.ts';
import { isCommitment } from '../formats/commitment.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { ResolvedCall } from '../formats/permit.ts';
import { credentialName, credentialSlot } from '../formats/secret-reference.ts';
import type { Bundle, BundlePayloadField, BundleTool } from './bundle.ts';
import { durationMs } from './duration.ts';
import type { Target } from './request.ts';

/** Who redeems a permit when the tool names nobody. */
const DEFAULT_AUDIENCE = 'gateway';
const DEFAULT_TIMEOUT = '30s';
const DEFAULT_OUTPUT_LIMIT = 65_536;
/** A `..` segment. */
const CLIMB = /(?:^|\/)\.\.(?:\/|$)/;

/** What a placeholder may name. `payload` carries the field. */
export type Placeholder =
  | { from: 'target.id' | 'target.type' | 'environment' | 'decision_id' }
  | { from: 'payload'; field: string };

/** One template string, in order: literal text and placeholders. */
export type TemplatePart = string | Placeholder;

/** The normalized, redacted action as a call is derived from it. */
export interface CallAction {
  class: string | null;
  target: Target | null;
  payload: JsonObject;
}

interface Values {
  target: Target;
  payload: JsonObject;
  environment: string;
  decision_id: string;
}

/**
 * Resolves what would run for an action: the class's tool with its template filled in, no shell anywhere. Engine and
 * gateway both call this with the bundle that each of them verified, and compare.
 *
 * `action.payload` is the redacted one: sensitive members are commitments and reach only `stdin` or `body`. Throws
 * `BoundaryError`: `call.no_class`, `call.no_target`, `call.no_tool`, `call.missing_value`, `call.wrong_value`,
 * `call.option_injection`, `call.path_escape`, `call.control_character`, `call.sensitive_argument`; `at` names the field.
 */
export function deriveCall(
  bundle: Bundle,
  action: CallAction,
  environment: string,
  decisionId: string,
): ResolvedCall {
  const tool = toolOf(bundle, action);
  if (action.target === null)
    throw new BoundaryError('call.no_target', 'The action names no target.', { at: 'target' });
  const values = { target: action.target, payload: action.payload, environment, decision_id: decisionId };
  const limits = {
    timeout_ms: durationMs(tool.timeout ?? DEFAULT_TIMEOUT),
    output_limit_bytes: tool.output_limit_bytes ?? DEFAULT_OUTPUT_LIMIT,
  };
  const { texts } = parsedTool(tool);
  const types = bundle.actions[action.class ?? '']?.payload ?? {};
  if (tool.connector === 'exec') {
    const argv = texts.flatMap((parts) => argvElements(parts, values));
    return { connector: 'exec', argv, stdin: fieldsOf(tool.stdin, action.payload, types), ...limits };
  }
  const path = texts.map((parts) => pathText(parts, values)).join('');
  const { address, method } = tool;
  return {
    connector: 'http',
    address,
    method,
    path,
    body: fieldsOf(tool.body, action.payload, types),
    ...limits,
  };
}

/** Who may redeem a permit under which a tool runs; undefined: the tool of a class that the policy does not know. */
export function audienceOf(tool: BundleTool | undefined): string {
  return tool?.audience ?? DEFAULT_AUDIENCE;
}

/**
 * Splits a template string into literals and placeholders. Throws `BoundaryError` `template.malformed` for an unclosed
 * or unknown placeholder.
 */
export function parseTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('{{', at);
    if (open < 0) break;
    const close = text.indexOf('}}', open);
    if (close < 0) throw malformed(`"{{" without "}}"`);
    if (open > at) parts.push(text.slice(at, open));
    parts.push(placeholderOf(text.slice(open + 2, close)));
    at = close + 2;
  }
  if (at < text.length) parts.push(text.slice(at));
  if (parts.some((part) => typeof part === 'string' && part.includes('}}')))
    throw malformed('"}}" without "{{"');
  return parts;
}

function placeholderOf(name: string): Placeholder {
  if (name === 'target.id' || name === 'target.type' || name === 'environment' || name === 'decision_id') {
    return { from: name };
  }
  const field = /^payload\.([a-z][a-z0-9_]{0,63})$/.exec(name)?.[1];
  if (field !== undefined) return { from: 'payload', field };
  throw malformed(`the placeholder {{${name.slice(0, 80)}}}`);
}

function malformed(found: string): BoundaryError {
  return new BoundaryError('template.malformed', `found ${found}`);
}

/** An element with an absent optional field is left out whole; compile allows that only where the element is its flag. */
function argvElements(parts: TemplatePart[], values: Values): string[] {
  const [first] = parts;
  if (parts.length === 1 && typeof first === 'object' && first.from === 'payload') {
    const value = memberOf(values.payload, first.field);
    const at = fieldName(first);
    if (Array.isArray(value)) return value.map((item) => guarded(scalarText(item, at), true, at));
  }
  let element = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      element += part;
      continue;
    }
    const text = valueText(part, values);
    if (text === null) return [];
    element += guarded(text, element === '', fieldName(part));
  }
  assertNoClimb(element, parts);
  return [element];
}

/** Values become single path segments: percent-encoded, never empty, never `.` or `..`. */
function pathText(parts: TemplatePart[], values: Values): string {
  let path = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      path += part;
      continue;
    }
    const field = fieldName(part);
    const text = valueText(part, values);
    if (text === null || text === '') {
      throw new BoundaryError('call.missing_value', `The path of the call needs ${field}.`, { at: field });
    }
    path += encodeURIComponent(guarded(text, false, field)).replaceAll('.', '%2E');
  }
  assertNoClimb(path.replaceAll('%2E', '.'), parts);
  return path;
}

/** Values that are harmless alone may climb together, or with the text around them. What policy itself writes stands. */
function assertNoClimb(text: string, parts: readonly TemplatePart[]): void {
  if (!CLIMB.test(text) || parts.some((part) => typeof part === 'string' && CLIMB.test(part))) return;
  const at = parts.flatMap((part) => (typeof part === 'string' ? [] : fieldName(part))).join(', ');
  throw new BoundaryError('call.path_escape', `${at} climbs to a parent directory.`, { at });
}

/**
 * A substituted value must stay a value: it may not turn its element into an option, climb out of a directory or hold
 * control characters (NUL would cut an argument short).
 */
function guarded(text: string, startsElement: boolean, field: string): string {
  if (startsElement && text.startsWith('-')) {
    throw new BoundaryError('call.option_injection', `${field} would be read as an option of the tool.`, {
      at: field,
    });
  }
  if (CLIMB.test(text)) {
    throw new BoundaryError('call.path_escape', `${field} climbs to a parent directory.`, { at: field });
  }
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    throw new BoundaryError('call.control_character', `${field} holds a control character.`, { at: field });
  }
  return text;
}

/** Text of a placeholder; null when its payload field is absent. */
function valueText(part: Placeholder, { target, payload, environment, decision_id }: Values): string | null {
  if (part.from === 'payload') {
    const value = memberOf(payload, part.field);
    return value === undefined ? null : scalarText(value, fieldName(part));
  }
  return { 'target.id': target.id, 'target.type': target.type, environment, decision_id }[part.from];
}

function scalarText(value: Json, at: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (isCommitment(value)) {
    throw new BoundaryError(
      'call.sensitive_argument',
      `${at} is sensitive and may reach the tool on stdin only.`,
      { at },
    );
  }
  throw new BoundaryError('call.wrong_value', `${at} is neither text, number nor boolean.`, { at });
}

function fieldName(part: Placeholder): string {
  return part.from === 'payload' ? `payload.${part.field}` : part.from;
}

function fieldsOf(
  fields: string[] | undefined,
  payload: JsonObject,
  types: Readonly<Record<string, BundlePayloadField>>,
): JsonObject | null {
  if (fields === undefined) return null;
  const object: JsonObject = {};
  for (const field of fields) {
    const value = memberOf(payload, field);
    if (value === undefined) continue;
    object[field] = types[field]?.type === 'secret_ref' ? slotOf(value, field) : value;
  }
  return object;
}

/** Only the gateway has what the name stands for. */
function slotOf(value: Json, field: string): Json {
  const name = credentialName(value);
  if (name !== null) return { ...credentialSlot(name) };
  throw new BoundaryError('call.wrong_value', `payload.${field} names no credential.`, {
    at: `payload.${field}`,
  });
}

function memberOf(payload: JsonObject, field: string): Json | undefined {
  return Object.hasOwn(payload, field) ? payload[field] : undefined;
}

function toolOf(bundle: Bundle, action: { class: string | null }): BundleTool {
  const name = action.class;
  const actionClass = name !== null && Object.hasOwn(bundle.actions, name) ? bundle.actions[name] : undefined;
  if (actionClass === undefined) {
    throw new BoundaryError('call.no_class', 'The policy does not know this action class.', { at: 'class' });
  }
  const tool = Object.hasOwn(bundle.tools, actionClass.tool) ? bundle.tools[actionClass.tool] : undefined;
  if (tool === undefined)
    throw new BoundaryError('call.no_tool', `The policy has no tool "${actionClass.tool}".`);
  return tool;
}

interface ParsedTool {
  /** argv elements, or the one path. */
  texts: TemplatePart[][];
}

const parsedTools = new WeakMap<BundleTool, ParsedTool>();

function parsedTool(tool: BundleTool): ParsedTool {
  let parsed = parsedTools.get(tool);
  if (parsed === undefined) {
    const texts = tool.connector === 'exec' ? tool.argv : [tool.path];
    parsed = { texts: texts.map(parseTemplate) };
    parsedTools.set(tool, parsed);
  }
  return parsed;
}
