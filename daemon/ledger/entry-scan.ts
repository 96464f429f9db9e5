/** How an entry sits in its stream. */
export interface EntryLink {
  site: string;
  stream: string;
  seq: number;
  prev: string | null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
/** Deeper entries, and longer ones, go the careful way. Three bytes a code unit stay below an entry's limit. */
const MAX_DEPTH = 24;
const MAX_LENGTH = 21_000;

const TAIL =
  /,"prev":(?:null|"([0-9a-f]{64})"),"seq":(0|[1-9][0-9]{0,14}),"site":"([^"]{1,255})","stream":"([^"]{1,255})","time_trust":"(?:trusted|floor|uncertain)","type":"([a-z]{1,20}\.[a-z_]{1,20})","v":1\}$/y;
/** Days 29 to 31 depend on the month: those go the careful way. */
const TIME =
  /[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z/y;

/**
 * Reads an entry's link from its text, if one pass over the characters shows that the text is a canonical entry. Null
 * means "not shown", never "wrong" (nor is an entry of a type outside `types` ever shown): then `decodeEntry` decides. It accepts only what `decodeEntry` accepts (a test holds
 * one against the other), at a third of the cost, which is what verifying a long history consists of.
 */
export function scanEntry(text: string, types: ReadonlySet<string>): EntryLink | null {
  if (text.length > MAX_LENGTH) return null;
  let at = skipLiteral(text, 0, '{"actor":{"id":');
  at = skipNullableString(text, at);
  at = skipLiteral(text, at, ',"role":');
  at = skipNullableString(text, at);
  at = skipLiteral(text, at, '},"at":"');
  if (at < 0) return null;
  TIME.lastIndex = at;
  if (!TIME.test(text)) return null;
  at = skipLiteral(text, TIME.lastIndex, '","data":');
  if (at < 0 || text.charCodeAt(at) !== 0x7b) return null;
  at = skipValue(text, at, MAX_DEPTH);
  if (at < 0) return null;
  TAIL.lastIndex = at;
  const [, prev, digits, site, stream, type] = TAIL.exec(text) ?? [];
  if (digits === undefined || site === undefined || stream === undefined || type === undefined) return null;
  if (!isPlain(site) || !isPlain(stream) || !types.has(type)) return null;
  const seq = Number(digits);
  return (seq === 0) === (prev === undefined) ? { site, stream, seq, prev: prev ?? null } : null;
}

/** The skippers return the position after what they skipped, or -1; and pass a -1 on. */
function skipLiteral(text: string, at: number, literal: string): number {
  return at >= 0 && text.startsWith(literal, at) ? at + literal.length : -1;
}

function skipNullableString(text: string, at: number): number {
  if (at < 0) return -1;
  return text.charCodeAt(at) === QUOTE ? skipString(text, at) : skipLiteral(text, at, 'null');
}

/** A string without escapes, control characters and surrogates. */
function skipString(text: string, start: number): number {
  let at = start + 1;
  let unit = text.charCodeAt(at);
  while (unit !== QUOTE) {
    // The end of the text is NaN, which no comparison lets pass.
    if (!(unit >= 0x20 && unit < 0xd800) || unit === BACKSLASH) return -1;
    unit = text.charCodeAt(++at);
  }
  return at + 1;
}

function skipValue(text: string, at: number, depth: number): number {
  switch (text.charCodeAt(at)) {
    case QUOTE:
      return skipString(text, at);
    case 0x7b:
      return skipObject(text, at, depth - 1);
    case 0x5b:
      return skipArray(text, at, depth - 1);
    case 0x74:
      return skipLiteral(text, at, 'true');
    case 0x66:
      return skipLiteral(text, at, 'false');
    case 0x6e:
      return skipLiteral(text, at, 'null');
    default:
      return skipNumber(text, at);
  }
}

/** RFC 8785 §3.2.3: members in order of their names' UTF-16 code units; so no name comes twice. */
function skipObject(text: string, start: number, depth: number): number {
  if (depth === 0) return -1;
  if (text.charCodeAt(start + 1) === 0x7d) return start + 2;
  let previous = -1;
  let at = start;
  do {
    const name = at + 1;
    if (text.charCodeAt(name) !== QUOTE) return -1;
    const end = skipString(text, name);
    if (end < 0 || text.charCodeAt(end) !== 0x3a) return -1;
    if (previous >= 0 && !isBefore(text, previous, name)) return -1;
    previous = name;
    at = skipValue(text, end + 1, depth);
    if (at < 0) return -1;
  } while (text.charCodeAt(at) === COMMA);
  return text.charCodeAt(at) === 0x7d ? at + 1 : -1;
}

function skipArray(text: string, start: number, depth: number): number {
  if (depth === 0) return -1;
  if (text.charCodeAt(start + 1) === 0x5d) return start + 2;
  let at = start;
  do {
    at = skipValue(text, at + 1, depth);
    if (at < 0) return -1;
  } while (text.charCodeAt(at) === COMMA);
  return text.charCodeAt(at) === 0x5d ? at + 1 : -1;
}

/** Short whole numbers by their digits; any other must print again as it is written (RFC 8785 §3.2.2.3). */
function skipNumber(text: string, start: number): number {
  let at = start;
  while (isNumberUnit(text.charCodeAt(at))) at++;
  const length = at - start;
  if (length === 0 || length > 40) return -1;
  const digits = text.slice(start, at);
  return `${Number(digits)}` === digits && digits !== 'NaN' ? at : -1;
}

function isNumberUnit(unit: number): boolean {
  return (unit >= 0x30 && unit <= 0x39) || unit === 0x2d || unit === 0x2e || unit === 0x2b || unit === 0x65;
}

/** Whether the string starting (with its quote) at `a` sorts before the one at `b`; both are free of escapes. */
function isBefore(text: string, a: number, b: number): boolean {
  for (let i = 1; ; i++) {
    const left = text.charCodeAt(a + i);
    const right = text.charCodeAt(b + i);
    // A name that ends first sorts first, although a quote may sort after what the other has there.
    if (right === QUOTE) return false;
    if (left === QUOTE) return true;
    if (left !== right) return left < right;
  }
}

function isPlain(name: string): boolean {
  return skipString(`"${name}"`, 0) === name.length + 2;
}
