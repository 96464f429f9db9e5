import { BoundaryError } from './boundary-error.ts';
import type { Json, JsonObject } from './json.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Deepest document that `assertCanonical` reads. Requests are bounded far below this. */
const MAX_DEPTH = 64;

/** Strings that RFC 8785 §3.2.2.2 prints with an escape, or that it cannot print at all (surrogates). */
const SPECIAL = /["\\\u0000-\u001f\ud800-\udfff]/;

/**
 * RFC 8785 text of a JSON value. Throws `TypeError` for what is not JSON (undefined, NaN, infinities, lone surrogates,
 * class instances): such a value is a bug of the caller, never input.
 */
export function canonicalText(value: Json): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
      if (!Number.isFinite(value)) {
        throw new TypeError('a number that is not finite has no canonical form');
      }
      // ECMAScript number printing is what RFC 8785 §3.2.2.3 prescribes; -0 prints as 0.
      return `${value}`;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) {
        return 'null';
      }
      return Array.isArray(value) ? arrayText(value) : objectText(value);
    default:
      throw new TypeError(`${typeof value} has no canonical form`);
  }
}

/** UTF-8 bytes of `canonicalText`. */
export function canonicalBytes(value: Json): Uint8Array {
  return encoder.encode(canonicalText(value));
}

/**
 * Reads bytes that must be RFC 8785 canonical: any byte that a canonicalizer would have written otherwise is refused,
 * and with it duplicate keys, byte order marks and trailing bytes.
 *
 * Throws `BoundaryError` `canonical.not_canonical`.
 */
export function assertCanonical(bytes: Uint8Array): Json {
  let value: Json;
  let text: string;
  try {
    text = decoder.decode(bytes);
    value = JSON.parse(text) as Json;
  } catch {
    throw notCanonical('The bytes are not UTF-8 JSON.');
  }
  if (!isCanonicalText(value, text)) {
    throw notCanonical('The JSON is not in canonical form (RFC 8785).');
  }
  return value;
}

function isCanonicalText(value: Json, text: string): boolean {
  const order = typeof value === 'object' ? keyOrder(value, MAX_DEPTH) : 'sorted';
  if (order === 'too_deep') {
    return false;
  }
  // Only an escape can have brought a lone surrogate through the decoder; such text takes the careful way.
  if (order === 'sorted' && !text.includes('\\ud')) {
    // With keys in order the built-in printer writes RFC 8785, at a third of the cost.
    return JSON.stringify(value) === text;
  }
  try {
    return canonicalText(value) === text;
  } catch (error) {
    if (error instanceof TypeError) {
      return false;
    }
    throw error;
  }
}

function notCanonical(message: string): BoundaryError {
  return new BoundaryError('canonical.not_canonical', message);
}

type KeyOrder = 'sorted' | 'unsorted' | 'too_deep';

/** Whether every object lists its keys in RFC 8785 order. */
function keyOrder(value: object | null, depth: number): KeyOrder {
  if (depth === 0) {
    return value === null ? 'sorted' : 'too_deep';
  }
  if (Array.isArray(value)) {
    return value.reduce<KeyOrder>(
      (order, item: Json) => (typeof item === 'object' ? worse(order, keyOrder(item, depth - 1)) : order),
      'sorted',
    );
  }
  let order: KeyOrder = 'sorted';
  let previous: string | null = null;
  for (const key in value) {
    if (previous !== null && previous > key) {
      order = worse(order, 'unsorted');
    }
    previous = key;
    const member = (value as JsonObject)[key];
    if (typeof member === 'object') {
      order = worse(order, keyOrder(member, depth - 1));
    }
  }
  return order;
}

function worse(a: KeyOrder, b: KeyOrder): KeyOrder {
  if (a === 'too_deep' || b === 'sorted') {
    return a;
  }
  return b;
}

function arrayText(items: readonly Json[]): string {
  let text = '[';
  for (let i = 0; i < items.length; i += 1) {
    text += (i === 0 ? '' : ',') + canonicalText(items[i] as Json);
  }
  return `${text}]`;
}

function objectText(value: JsonObject): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('an instance of a class has no canonical form');
  }
  let text = '{';
  for (const key of sortedKeys(value)) {
    // An own key always has a value; undefined is refused by canonicalText.
    text += `${(text === '{' ? '' : ',') + quote(key)}:${canonicalText(value[key] as Json)}`;
  }
  return `${text}}`;
}

/** Own keys in UTF-16 code unit order (§3.2.3). Most objects are built in order: looking is cheaper than sorting. */
function sortedKeys(value: JsonObject): string[] {
  const keys = Object.keys(value);
  for (let i = 1; i < keys.length; i += 1) {
    if ((keys[i - 1] as string) > (keys[i] as string)) {
      return keys.sort();
    }
  }
  return keys;
}

function quote(text: string): string {
  if (!SPECIAL.test(text)) {
    return `"${text}"`;
  }
  if (!text.isWellFormed()) {
    throw new TypeError('a lone surrogate has no canonical form');
  }
  return JSON.stringify(text);
}
