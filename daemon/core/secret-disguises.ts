/*
 * What a text says once it is decoded: percent and backslash escapes, base64 and hex of readable text, and text that was
 * pulled apart with blanks. Secrets are pasted in all of these forms, mostly by machines and by accident. Whoever wants to
 * hide one can; this is no defence against intent.
 */

/** Decoded twice, as a URL in a JSON text is; more is no accident. */
const DEPTH = 2;
const RUNS_MAX = 32;
const BASE64_RUN = /[A-Za-z0-9+/_-]{20,}={0,2}/g;
const HEX_RUN = /(?:[0-9A-Fa-f]{2}){16,}/g;
const ESCAPE = /\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})/g;
const PERCENT = /(?:%[0-9A-Fa-f]{2})+/g;
/** Blanks, and what looks like nothing at all. */
const BLANKS = /[\s\u00ad\u200b-\u200f\u2060\ufeff]+/g;

/** Beginnings that mean a credential and nothing else, with blanks between their letters. */
const PULLED_APART =
  /A\s*[KS]\s*I\s*A\s*[A-Z0-9]|A\s*I\s*z\s*a\s*[A-Za-z0-9_-]|B\s*E\s*G\s*I\s*N\s*[A-Z0-9\s]{0,60}P\s*R\s*I\s*V\s*A\s*T\s*E|g\s*h\s*[pousr]\s*_|g\s*l\s*p\s*a\s*t\s*-|x\s*o\s*x\s*[abeoprs]\s*-/;
/** Escapes, what looks like nothing, long hex; and beginnings in small letters. */
const WITHOUT_CAPITALS =
  /%[0-9A-Fa-f]{2}|\\[ux][0-9A-Fa-f]|[\u00ad\u200b-\u200f\u2060\ufeff]|[0-9A-Fa-f]{32}|g\s*h\s*[pousr]\s*_|g\s*l\s*p\s*a\s*t|x\s*o\s*x\s*[abeoprs]/;
/** Base64 of anything readable has capitals; most of what is asked for has none. */
const CAPITAL = /[A-Z]/;
const WITH_CAPITALS = new RegExp(`[A-Za-z0-9+/_-]{20}|${PULLED_APART.source}`);

/** Whether a text may say something else than it seems to; a quick look, right when it says no. */
export function mayBeDisguised(text: string): boolean {
  return WITHOUT_CAPITALS.test(text) || (CAPITAL.test(text) && WITH_CAPITALS.test(text));
}

/** The other readings of a text, without the text itself. Bounded by a small multiple of its length. */
export function otherReadings(text: string): string[] {
  const found = new Set<string>();
  let layer = [text];
  for (let depth = 0; depth < DEPTH && layer.length > 0; depth++) {
    layer = layer.flatMap(readings).filter((reading) => reading !== text && !found.has(reading));
    for (const reading of layer) found.add(reading);
  }
  return [...found];
}

function readings(text: string): string[] {
  if (!mayBeDisguised(text)) return [];
  const plain = [text.replace(PERCENT, percentDecoded), text.replace(ESCAPE, unescaped)];
  if (PULLED_APART.test(text) || /[\u00ad\u200b-\u200f\u2060\ufeff]/.test(text))
    plain.push(text.replace(BLANKS, ''));
  return [
    ...plain.filter((reading) => reading !== text),
    ...decodedRuns(text, BASE64_RUN, 'base64'),
    ...decodedRuns(text, HEX_RUN, 'hex'),
  ];
}

function percentDecoded(run: string): string {
  return Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8');
}

function unescaped(_whole: string, unicode: string | undefined, byte: string | undefined): string {
  return String.fromCharCode(Number.parseInt(unicode ?? byte ?? '', 16));
}

/** The runs of an encoding that decode to readable text: of anything else, random bytes come out. */
function decodedRuns(text: string, run: RegExp, encoding: 'base64' | 'hex'): string[] {
  const decoded: string[] = [];
  for (const [match] of text.matchAll(run)) {
    if (decoded.length >= RUNS_MAX) break;
    // Node's base64 takes both alphabets.
    const bytes = Buffer.from(match, encoding);
    if (isReadable(bytes)) decoded.push(bytes.toString('latin1'));
  }
  return decoded;
}

function isReadable(bytes: Uint8Array): boolean {
  let strange = 0;
  for (const byte of bytes)
    if (byte > 0x7e || (byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) strange += 1;
  return bytes.length > 0 && strange * 20 <= bytes.length;
}
