import { BoundaryError } from '../formats/boundary-error.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import { mayBeDisguised, otherReadings } from './secret-disguises.ts';

/** A bundle's own patterns see long text in slices, which overlap so that a secret across a border is found whole. */
const SLICE_CHARS = 4_096;
const SLICE_OVERLAP = 512;

/**
 * What credentials look like. Every repetition is bounded or is followed by nothing, so that each expression runs in
 * linear time whatever the input; a bundle's own patterns run on RE2 instead.
 */
const BUILT_IN: readonly { id: string; source: string }[] = [
  {
    id: 'private_key',
    source:
      '-----BEGIN (?:[A-Z0-9 ]{1,40} )?PRIVATE KEY|-----BEGIN[A-Z0-9]{0,40}PRIVATEKEY|PRIVATE\\+KEY\\+|AGE-SECRET-KEY-1',
  },
  { id: 'aws_access_key', source: '\\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}' },
  { id: 'github_token', source: '\\bgh[pousr]_[A-Za-z0-9]{30}|\\bgithub_pat_[A-Za-z0-9_]{22}' },
  { id: 'gitlab_token', source: '\\bglpat-[A-Za-z0-9_-]{20}' },
  { id: 'slack_token', source: '\\bxox[abeoprs]-[A-Za-z0-9-]{10}' },
  { id: 'google_api_key', source: '\\bAIza[A-Za-z0-9_-]{35}' },
  { id: 'api_key', source: '\\b[spr]k[-_](?:live_|test_|ant-|proj-)?[A-Za-z0-9_-]{20}' },
  { id: 'jwt', source: '\\beyJ[A-Za-z0-9_-]{8,512}\\.[A-Za-z0-9_-]{8}' },
  { id: 'bearer_token', source: '\\b(?:[Bb]earer|[Bb]asic) {1,4}[A-Za-z0-9._~+/=-]{16}' },
  { id: 'url_credentials', source: '://[^\\s/:@]{1,64}:[^\\s/@]{3,64}@' },
  {
    id: 'credential_assignment',
    source:
      '(?i:passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|access[_-]?token|auth[_-]?token|private[_-]?key)["\']?[ \\t]{0,3}[:=][ \\t]{0,3}["\']?[^\\s"\']{4}',
  },
];

const ANY_BUILT_IN = new RegExp(BUILT_IN.map(({ source }) => `(?:${source})`).join('|'));
const EACH_BUILT_IN = BUILT_IN.map(({ id, source }) => ({ id, expression: new RegExp(source) }));

/**
 * Text that nobody types: shorter runs are words and ids, lower entropy is repeated names, and names written together
 * (`Relay2-Firmware-Rev3`) change between upper case, lower case and digits less often than chance does (0.62).
 */
const RANDOM_MIN_CHARS = 32;
const RANDOM_MIN_BITS = 4.2;
const RANDOM_MIN_CHANGES = 0.45;
const RANDOM_RUN = /[A-Za-z0-9+/_=-]{32,}/g;

/** Looks for credentials in text. Says which pattern, never what it matched. */
export interface SecretScanner {
  /** Id of a pattern that the text matches, or null. */
  find(text: string): string | null;
  /** The same for several texts at once; true means that at least one matches. */
  anyIn(texts: readonly string[]): boolean;
}

/** A scanner with the built-in patterns and those of a bundle (RE2). Throws `BoundaryError` `pattern.*`. */
export function secretScanner(extra: readonly { id: string; pattern: string }[] = []): SecretScanner {
  const own = extra.map(({ id, pattern }) => ({ id, pattern: secretPattern(pattern) }));
  const asItIs = (text: string): string | null => {
    if (ANY_BUILT_IN.test(text))
      return EACH_BUILT_IN.find(({ expression }) => expression.test(text))?.id ?? 'secret';
    if (holdsRandomText(text)) return 'high_entropy';
    return own.find(({ pattern }) => foundInSlices(pattern, text))?.id ?? null;
  };
  const find = (text: string): string | null => {
    const plain = asItIs(text);
    if (plain !== null || !mayBeDisguised(text)) return plain;
    for (const reading of otherReadings(text)) {
      const hidden = asItIs(reading);
      if (hidden !== null) return hidden;
    }
    return null;
  };
  return {
    find,
    // A line feed is in none of the built-in patterns, so joining adds no match but those that single texts have.
    anyIn: (texts) => {
      if (own.length > 0) return texts.some((text) => find(text) !== null);
      const joined = texts.join('\n');
      if (ANY_BUILT_IN.test(joined) || holdsRandomText(joined)) return true;
      return mayBeDisguised(joined) && texts.some((text) => find(text) !== null);
    },
  };
}

/** Compiles a bundle's secret pattern; refuses one that matches the empty text, since it would deny everything. */
export function secretPattern(source: string): Pattern {
  const pattern = compilePattern(source, SLICE_CHARS);
  if (pattern.foundIn('')) {
    throw new BoundaryError(
      'pattern.matches_all',
      'The pattern matches the empty text, so it would deny every request.',
    );
  }
  return pattern;
}

function foundInSlices(pattern: Pattern, text: string): boolean {
  if (text.length <= SLICE_CHARS) return pattern.foundIn(text);
  for (let start = 0; start < text.length; start += SLICE_CHARS - SLICE_OVERLAP) {
    if (pattern.foundIn(text.slice(start, start + SLICE_CHARS))) return true;
  }
  return false;
}

/** Long runs that mix cases and digits at random: keys and tokens without a known prefix. Hex digests are not such. */
function holdsRandomText(text: string): boolean {
  if (text.length < RANDOM_MIN_CHARS) return false;
  for (const match of text.matchAll(RANDOM_RUN)) {
    const run = match[0];
    const digest = /sha(?:256|384|512)[:-]$/i.test(text.slice(Math.max(0, match.index - 7), match.index));
    if (!digest && classChanges(run) >= RANDOM_MIN_CHANGES && shannonBits(run) >= RANDOM_MIN_BITS)
      return true;
  }
  return false;
}

/** Share of neighbours, punctuation aside, that are not both upper case, both lower case or both digits. */
function classChanges(run: string): number {
  let changes = 0;
  let letters = 0;
  let previous = 0;
  for (let i = 0; i < run.length; i++) {
    const code = run.charCodeAt(i);
    const kind = code >= 97 ? 3 : code >= 65 && code <= 90 ? 2 : code >= 48 && code <= 57 ? 1 : 0;
    if (kind === 0) continue;
    if (previous !== 0 && kind !== previous) changes += 1;
    previous = kind;
    letters += 1;
  }
  return letters < RANDOM_MIN_CHARS / 2 ? 0 : changes / letters;
}

/** Shannon entropy in bits per character. */
function shannonBits(text: string): number {
  const counts = new Uint32Array(128);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    counts[code] = (counts[code] ?? 0) + 1;
  }
  let bits = 0;
  for (const count of counts) {
    if (count > 0) bits -= (count / text.length) * Math.log2(count / text.length);
  }
  return bits;
}
