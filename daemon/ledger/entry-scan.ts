import { GrantGlance } from './grant-glance.ts';

/** How an entry sits in its stream. */
export interface EntryLink {
  site: string;
  stream: string;
  seq: number;
  prev: string | null;
}

/** What one pass over an entry shows. */
export interface ScannedEntry extends EntryLink {
  /** When the permit expires (milliseconds since 1970) of an entry that alone makes an unused one; else null. */
  grant: number | null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
/** Deeper entries, and longer ones, go the careful way. */
const MAX_DEPTH = 24;
export const MAX_SCANNED = 21_000;

const TAIL =
  /^,"prev":(?:null|"([0-9a-f]{64})"),"seq":(0|[1-9][0-9]{0,14}),"site":"([ !#-[\]-~]{1,255})","stream":"([ !#-[\]-~]{1,255})","time_trust":"(?:trusted|floor|uncertain)","type":"([a-z]{1,20}\.[a-z_]{1,20})","v":1\}$/;
/** Days 29 to 31 depend on the month: those go the careful way. */
const TIME =
  /^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$/;
const TIME_LENGTH = 24;

const HEAD = Buffer.from('{"actor":{"id":');
const ROLE = Buffer.from(',"role":');
const AT = Buffer.from('},"at":"');
const DATA = Buffer.from('","data":');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

const glance = new GrantGlance(MAX_DEPTH - 1);

/**
 * Reads an entry's link from `bytes[from, to)`, if one pass over them shows that they are a canonical entry. Null
 * means "not shown", never "wrong" (nor is an entry of a type outside `types` ever shown): then `decodeEntry` decides. It
 * accepts only what `decodeEntry` accepts (a test holds one against the other), at a small part of the cost, which is what
 * verifying a long history consists of. Over bytes, because a look at a string's character costs several times as much.
 */
export function scanEntry(
  bytes: Buffer,
  from: number,
  to: number,
  types: ReadonlySet<string>,
): ScannedEntry | null {
  if (to - from > MAX_SCANNED || bytes[to - 1] !== 0x7d) return null;
  let at = skipLiteral(bytes, from, HEAD);
  at = skipNullableString(bytes, at);
  at = skipLiteral(bytes, at, ROLE);
  at = skipNullableString(bytes, at);
  at = skipLiteral(bytes, at, AT);
  if (at < 0 || !TIME.test(bytes.toString('latin1', at, at + TIME_LENGTH))) return null;
  at = skipLiteral(bytes, at + TIME_LENGTH, DATA);
  if (at < 0 || bytes[at] !== 0x7b) return null;
  glance.begin();
  at = skipObject(bytes, at, MAX_DEPTH - 1, glance);
  if (at < 0 || at > to) return null;
  // A name with other characters than ASCII does not match: it, too, goes the careful way.
  const [, prev, digits, site, stream, type] = TAIL.exec(bytes.toString('latin1', at, to)) ?? [];
  if (digits === undefined || site === undefined || stream === undefined || type === undefined) return null;
  if (!types.has(type)) return null;
  const seq = Number(digits);
  if ((seq === 0) !== (prev === undefined)) return null;
  const grant = seq === 0 && type === 'decision.authorized' ? glance.expiry(bytes, at) : null;
  return { site, stream, seq, prev: prev ?? null, grant };
}

/** The skippers return the position after what they skipped, or -1; and pass a -1 on. What is beyond the end is undefined, or a neighbour's: then the end is not met. */
function skipLiteral(bytes: Buffer, at: number, literal: Buffer): number {
  if (at < 0) return -1;
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return -1;
  return at + literal.length;
}

function skipNullableString(bytes: Buffer, at: number): number {
  if (at < 0) return -1;
  return bytes[at] === QUOTE ? skipString(bytes, at) : skipLiteral(bytes, at, NULL);
}

/** A string without escapes, control characters, and characters from the surrogates on. */
function skipString(bytes: Buffer, start: number): number {
  let at = start + 1;
  for (;;) {
    const byte = bytes[at];
    if (byte === QUOTE) return at + 1;
    if (byte === undefined || byte < 0x20 || byte === BACKSLASH) return -1;
    if (byte < 0x80) at++;
    else {
      at = skipCharacter(bytes, at, byte);
      if (at < 0) return -1;
    }
  }
}

/** A character of two or three bytes, below the surrogates (RFC 3629 §4). */
function skipCharacter(bytes: Buffer, at: number, lead: number): number {
  const second = bytes[at + 1] ?? 0;
  if (second < 0x80 || second > 0xbf) return -1;
  if (lead >= 0xc2 && lead <= 0xdf) return at + 2;
  const third = bytes[at + 2] ?? 0;
  if (lead < 0xe0 || lead > 0xed || third < 0x80 || third > 0xbf) return -1;
  // Longer forms of shorter characters, and surrogates.
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return -1;
  return at + 3;
}

function skipValue(bytes: Buffer, at: number, depth: number, notes: GrantGlance | null): number {
  switch (bytes[at]) {
    case QUOTE:
      return skipString(bytes, at);
    case 0x7b:
      return skipObject(bytes, at, depth - 1, notes);
    case 0x5b:
      return skipArray(bytes, at, depth - 1);
    case 0x74:
      return skipLiteral(bytes, at, TRUE);
    case 0x66:
      return skipLiteral(bytes, at, FALSE);
    case 0x6e:
      return skipLiteral(bytes, at, NULL);
    default:
      return skipNumber(bytes, at);
  }
}

/** RFC 8785 §3.2.3: members in order of their names' UTF-16 code units; so no name comes twice. */
function skipObject(bytes: Buffer, start: number, depth: number, notes: GrantGlance | null): number {
  if (depth === 0) return -1;
  if (bytes[start + 1] === 0x7d) return start + 2;
  let previous = -1;
  let at = start;
  do {
    const name = at + 1;
    if (bytes[name] !== QUOTE) return -1;
    const end = skipString(bytes, name);
    if (end < 0 || bytes[end] !== COLON) return -1;
    if (previous >= 0 && !isBefore(bytes, previous, name)) return -1;
    previous = name;
    at = skipValue(
      bytes,
      end + 1,
      depth,
      notes === null ? null : notes.member(bytes, name + 1, end + 1, depth),
    );
    if (at < 0) return -1;
  } while (bytes[at] === COMMA);
  return bytes[at] === 0x7d ? at + 1 : -1;
}

function skipArray(bytes: Buffer, start: number, depth: number): number {
  if (depth === 0) return -1;
  if (bytes[start + 1] === 0x5d) return start + 2;
  let at = start;
  do {
    at = skipValue(bytes, at + 1, depth, null);
    if (at < 0) return -1;
  } while (bytes[at] === COMMA);
  return bytes[at] === 0x5d ? at + 1 : -1;
}

/** Short whole numbers by their digits; any other must print again as it is written (RFC 8785 §3.2.2.3). */
function skipNumber(bytes: Buffer, start: number): number {
  let at = start;
  while (isDigit(bytes[at])) at++;
  if (at > start && at - start <= 15 && !isNumberByte(bytes[at]))
    return bytes[start] === 0x30 && at - start > 1 ? -1 : at;
  while (isNumberByte(bytes[at])) at++;
  const length = at - start;
  if (length === 0 || length > 40) return -1;
  const digits = bytes.toString('latin1', start, at);
  return `${Number(digits)}` === digits && digits !== 'NaN' ? at : -1;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isNumberByte(byte: number | undefined): boolean {
  return isDigit(byte) || byte === 0x2d || byte === 0x2e || byte === 0x2b || byte === 0x65;
}

/**
 * Whether the string starting (with its quote) at `a` sorts before the one at `b`; both are free of escapes, and of
 * characters whose UTF-8 sorts otherwise than their UTF-16.
 */
function isBefore(bytes: Buffer, a: number, b: number): boolean {
  for (let i = 1; ; i++) {
    const left = bytes[a + i] ?? 0;
    const right = bytes[b + i] ?? 0;
    // A name that ends first sorts first, although a quote may sort after what the other has there.
    if (right === QUOTE) return false;
    if (left === QUOTE) return true;
    if (left !== right) return left < right;
  }
}
