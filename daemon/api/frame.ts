import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { type JsonLimits, parseStrict } from '../formats/strict-json.ts';
import type { BoundMethod, MethodRequest } from './dispatch.ts';
import { tokenOf } from './validate.ts';

/** A frame as it came: `{id, method, params}`. */
export interface Frame {
  /** As JSON text, to be put into the answer. */
  id: string;
  method: string;
  params: JsonObject;
  /** The exact text of `params`, where it could be cut out of the frame. */
  paramsText: string | null;
}

const ID_MAX_LENGTH = 64;
const METHOD_MAX_LENGTH = 64;
const KEY_PARAMETER = 'idempotency_key';

/**
 * Reads one frame. Throws `BoundaryError` (`json.*`, `request.invalid` with `at`) for anything but an object with a
 * string or integer `id`, a `method`, and optionally an object `params`.
 */
export function readFrame(text: string, limits: JsonLimits): Frame {
  const value = parseStrict(text, limits);
  if (!isObject(value)) throw invalid('', 'a frame is an object {id, method, params}');
  for (const name in value) {
    if (name !== 'id' && name !== 'method' && name !== 'params')
      throw invalid(`/${tokenOf(name)}`, 'is not known here');
  }
  const { id, method, params = {} } = value;
  if (!isId(id))
    throw invalid('/id', `must be an integer or a string of at most ${ID_MAX_LENGTH} characters`);
  if (typeof method !== 'string' || method.length > METHOD_MAX_LENGTH)
    throw invalid('/method', 'must be the name of a method');
  if (!isObject(params)) throw invalid('/params', 'must be an object');
  const idText = JSON.stringify(id);
  return { id: idText, method, params, paramsText: paramsTextOf(text, idText, method) };
}

/**
 * The `id` of a frame that could not be accepted, as JSON text, so that its sender can tell which one it was; `null` if
 * it has none.
 */
export function idOfRefused(text: string): string {
  const match = /^\{"id":(\d{1,15}|"[A-Za-z0-9_-]{1,64}")[,}]/.exec(text);
  return match?.[1] ?? 'null';
}

/**
 * The members of `params` sorted into what HTTP has in path, query, header and body: their names do not collide (a test
 * of the table sees to it).
 */
export function requestOf(frame: Frame, method: BoundMethod): Omit<MethodRequest, 'gone' | 'caller'> {
  const { params } = frame;
  const path = pick(params, method.pathNames);
  const query = pick(params, method.queryNames);
  const key = method.row.keyed === true ? params[KEY_PARAMETER] : undefined;
  if (key !== undefined && typeof key !== 'string')
    throw invalid(`/params/${KEY_PARAMETER}`, 'must be a string');
  const taken = path.count + query.count + (key === undefined ? 0 : 1);
  const left =
    taken === 0 ? params : without(params, [...method.pathNames, ...method.queryNames, KEY_PARAMETER]);
  const body =
    method.checkBody === null && isEmpty(left)
      ? null
      : { value: left, text: (taken === 0 ? frame.paramsText : null) ?? JSON.stringify(left) };
  return { path: path.values, query: query.values, key: key ?? null, body };
}

/**
 * Saves printing `params` again: a frame without duplicate keys whose text begins with its own id and method, and which
 * has nothing else, has the text of `params` in the rest.
 */
function paramsTextOf(text: string, id: string, method: string): string | null {
  const prefix = `{"id":${id},"method":${JSON.stringify(method)},"params":`;
  return text.startsWith(prefix) ? text.slice(prefix.length, text.lastIndexOf('}')) : null;
}

const NONE: { values: JsonObject; count: number } = { values: {}, count: 0 };

function pick(params: JsonObject, names: readonly string[]): { values: JsonObject; count: number } {
  let picked = NONE;
  for (const name of names) {
    const value = params[name];
    if (value === undefined) continue;
    if (picked === NONE) picked = { values: {}, count: 0 };
    picked.values[name] = value;
    picked.count += 1;
  }
  return picked;
}

function without(params: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !names.includes(name)));
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: JsonObject): boolean {
  for (const _ in value) return false;
  return true;
}

function isId(value: Json | undefined): value is string | number {
  return typeof value === 'string' ? value.length <= ID_MAX_LENGTH : Number.isSafeInteger(value);
}

function invalid(at: string, what: string): BoundaryError {
  return new BoundaryError('request.invalid', `${at === '' ? '' : `${at} `}${what}; nothing was done`, {
    at,
  });
}
