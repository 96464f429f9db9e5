import { BoundaryError } from './boundary-error.ts';
import type { Json } from './json.ts';

/** Bounds of one document: bytes of UTF-8, and nesting (a scalar has depth 0, `{}` 1, `{"a":{}}` 2). */
export interface JsonLimits {
  maxBytes: number;
  maxDepth: number;
}

/** Cut for JSON pointers in errors: a pointer names the field, it must not carry a payload. */
const POINTER_MAX = 200;

/**
 * Parses RFC 8259 text under I-JSON's rules (RFC 7493): what two parsers could read differently is refused.
 *
 * Throws `BoundaryError`, with `at` = JSON pointer of the place: `json.too_large`, `json.syntax`, `json.too_deep`,
 * `json.duplicate_key`, `json.forbidden_key` (`__proto__`), `json.lone_surrogate`, `json.unsafe_integer` (an integer
 * beyond 2^53-1, however written), `json.number_range`. Messages never hold a value of the document.
 */
export function parseStrict(text: string, limits: JsonLimits): Json {
  if (text.length > limits.maxBytes || (text.length * 3 > limits.maxBytes && tooManyBytes(text, limits))) {
    throw new BoundaryError('json.too_large', `The document has more than ${limits.maxBytes} bytes.`);
  }
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw syntaxError(error);
  }
  // A duplicate key cannot survive parse and print, so equal text proves there is none; nor can a raw lone surrogate
  // or a non-finite number. Escaped surrogates and `__proto__` can, and are left to the scanner.
  const plain =
    isPlain(value, limits.maxDepth) &&
    !text.includes('\\u') &&
    !text.includes('"__proto__"') &&
    JSON.stringify(value) === text;
  if (!plain) {
    new Scanner(text, limits.maxDepth).scan();
  }
  return value;
}

function tooManyBytes(text: string, limits: JsonLimits): boolean {
  return Buffer.byteLength(text, 'utf8') > limits.maxBytes;
}

/** The engine's own message quotes the document, so only the position is kept. */
function syntaxError(error: unknown): BoundaryError {
  const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
  const where = position === undefined ? '' : ` at character ${position}`;
  return new BoundaryError('json.syntax', `The document is not valid JSON${where}.`);
}

/** Whether depth and numbers are certainly within bounds. False sends the text to the scanner, which names the place. */
function isPlain(value: Json, depth: number): boolean {
  if (typeof value === 'number') {
    return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER;
  }
  if (typeof value !== 'object' || value === null) {
    return true;
  }
  if (depth === 0) {
    return false;
  }
  if (Array.isArray(value)) {
    for (const item of value) {
      if (!isPlain(item, depth - 1)) {
        return false;
      }
    }
    return true;
  }
  for (const key in value) {
    const member = value[key];
    if (typeof member !== 'string' && member !== undefined && !isPlain(member, depth - 1)) {
      return false;
    }
  }
  return true;
}

interface Frame {
  /** Keys seen so far; null for an array. */
  keys: Set<string> | null;
  /** The key, or index, of the member being read; null between keys. */
  key: string | number | null;
}

/** Walks text that `JSON.parse` accepted, so the grammar is known to hold; looks only for what I-JSON forbids. */
class Scanner {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #frames: Frame[] = [];
  #at = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  scan(): void {
    let expectKey = false;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (char === '{' || char === '[') {
        this.#open(char === '{');
        expectKey = char === '{';
      } else if (char === '}' || char === ']') {
        this.#frames.pop();
        expectKey = false;
      } else if (char === ',') {
        expectKey = this.#nextMember();
      } else if (char === '"') {
        this.#string(expectKey);
        expectKey = false;
        continue;
      } else if (char === '-' || (char !== undefined && char >= '0' && char <= '9')) {
        this.#number();
        continue;
      }
      this.#at += 1;
    }
  }

  #open(object: boolean): void {
    if (this.#frames.length >= this.#maxDepth) {
      throw this.#error('json.too_deep', `is nested deeper than ${this.#maxDepth} levels`);
    }
    this.#frames.push(object ? { keys: new Set(), key: null } : { keys: null, key: 0 });
  }

  /** After a comma: true when a key must follow. */
  #nextMember(): boolean {
    const frame = this.#frames.at(-1);
    if (frame === undefined) {
      return false;
    }
    frame.key = typeof frame.key === 'number' ? frame.key + 1 : null;
    return frame.keys !== null;
  }

  #string(isKey: boolean): void {
    const start = this.#at;
    let escaped = false;
    for (this.#at += 1; this.#text[this.#at] !== '"'; this.#at += 1) {
      if (this.#text[this.#at] === '\\') {
        escaped = true;
        this.#at += 1;
      }
    }
    this.#at += 1;
    const raw = this.#text.slice(start, this.#at);
    const value = escaped ? (JSON.parse(raw) as string) : raw.slice(1, -1);
    if (!value.isWellFormed()) {
      throw this.#error('json.lone_surrogate', 'holds half of a surrogate pair');
    }
    if (isKey) {
      this.#key(value);
    }
  }

  #key(key: string): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined || frame.keys === null) {
      return;
    }
    frame.key = key;
    if (frame.keys.has(key)) {
      throw this.#error('json.duplicate_key', 'appears more than once');
    }
    if (key === '__proto__') {
      throw this.#error('json.forbidden_key', 'is a name that is not allowed');
    }
    frame.keys.add(key);
  }

  #number(): void {
    const start = this.#at;
    while (this.#at < this.#text.length && /[-+.0-9eE]/.test(this.#text[this.#at] ?? '')) {
      this.#at += 1;
    }
    const value = Number(this.#text.slice(start, this.#at));
    if (!Number.isFinite(value)) {
      throw this.#error('json.number_range', 'is a number too large for a double');
    }
    // Any double beyond 2^53 is integral, and RFC 8785 prints it as an integer that no longer says what was written.
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      throw this.#error('json.unsafe_integer', 'is a number beyond 2^53-1; write it as a string');
    }
  }

  #error(code: string, what: string): BoundaryError {
    const pointer = this.#frames
      .filter((frame) => frame.key !== null)
      .map((frame) => `/${String(frame.key).replaceAll('~', '~0').replaceAll('/', '~1')}`)
      .join('');
    const at = pointer.length > POINTER_MAX ? `${pointer.slice(0, POINTER_MAX)}…` : pointer;
    return new BoundaryError(code, `${at === '' ? 'The document' : at} ${what}.`, { at });
  }
}
