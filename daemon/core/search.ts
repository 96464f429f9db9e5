import { sha256Hex, toHex } from '../formats/digest.ts';
import type { Entry } from '../formats/entry.ts';
import type { Json, JsonObject } from '../formats/json.ts';

/*
 * What of an entry can be searched, and when it is found. An index may only propose entries: whether one is shown is
 * decided by `matchesQuery` over the entry itself. Values of payloads are not searchable and never reach an index.
 */

/** What is looked for; everything that is given must hold. Instants are milliseconds since 1970, both ends included. */
export interface SearchQuery {
  /** Words, as `wordsOf` makes them; all must occur. */
  words: readonly string[];
  type?: string;
  stream?: string;
  /** A decision, session, incident, …: entries of its stream, and others that name it. */
  about?: string;
  /** Who caused the entry, or asked for the decision that it is about. */
  actor?: string;
  class?: string;
  /** `type:id`. */
  target?: string;
  environment?: string;
  /** State that a decision went into, outcome of a run, answer of an act. */
  result?: string;
  since?: number;
  until?: number;
}

/** What a decision's first entry says for all that follow in its stream. */
export interface SearchOrigin {
  actor: string | null;
  class: string | null;
  target: string | null;
  environment: string | null;
}

/** What can be searched of one entry. */
export interface SearchFields extends Omit<SearchOrigin, 'actor'> {
  type: string;
  stream: string;
  about: readonly string[];
  actors: readonly string[];
  results: readonly string[];
  at: number;
  words: ReadonlySet<string>;
}

/** An entry as a search shows it: no payload, no evidence. */
export interface SearchHit {
  index: number;
  at: string;
  type: string;
  stream: string;
  actor: { id: string | null; role: string | null };
  class: string | null;
  target: string | null;
  environment: string | null;
  result: string | null;
  /** The free text that can be searched, shortened. */
  text: string | null;
}

export const QUERY_MAX_WORDS = 16;
const ENTRY_MAX_WORDS = 1_000;
const WORD_MAX_LENGTH = 64;
/** Decisions of one entry about many. */
const ABOUT_MAX = 1_000;
const TEXT_MAX_LENGTH = 300;
const NO_ORIGIN: SearchOrigin = { actor: null, class: null, target: null, environment: null };

/** Words of a text: runs of letters and digits, whatever their case and form (NFKC). */
export function wordsOf(text: string): string[] {
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return words.map((word) => word.slice(0, WORD_MAX_LENGTH));
}

/** What the first entry of a stream says for all of it; nothing where it is no decision. */
export function originOf({ data, actor }: Pick<Entry, 'data' | 'actor'>): SearchOrigin {
  const action = objectOf(data.action);
  if (action === null) return NO_ORIGIN;
  return {
    actor: actor.id,
    class: textOf(action.class),
    target: targetOf(action.target),
    environment: textOf(objectOf(data.context)?.environment),
  };
}

/** Whether entries of a stream need the first one of it to be found by what was asked for. */
export function hasOrigin(stream: string): boolean {
  return stream.startsWith('dec_');
}

/** What can be searched of an entry; `origin` is that of its stream, or of the entry itself where it is the first. */
export function fieldsOf(entry: Entry, origin: SearchOrigin = originOf(entry)): SearchFields {
  const { data, actor } = entry;
  const scope = objectOf(data.scope);
  return {
    type: entry.type,
    stream: entry.stream,
    at: Date.parse(entry.at),
    about: aboutOf(entry),
    actors: [actor.id, origin.actor].filter((id) => id !== null),
    class: origin.class ?? textOf(scope?.class),
    target: origin.target ?? targetOf(scope?.target) ?? targetOf(objectOf(data.halt)?.target),
    environment: origin.environment ?? textOf(scope?.environment),
    results: resultsOf(data),
    words: new Set(searchableTexts(data).flatMap(wordsOf).slice(0, ENTRY_MAX_WORDS)),
  };
}

/** The texts that may be searched and shown, by the place where entries have them. Payloads have none. */
function searchableTexts(data: JsonObject): string[] {
  const action = objectOf(data.action);
  const target = objectOf(action?.target);
  const scope = objectOf(data.scope);
  const detail = objectOf(data.detail);
  return [
    action?.intent,
    action?.class,
    target?.type,
    target?.id,
    data.reason,
    data.note,
    data.detail,
    detail?.reason,
    scope?.class,
    objectOf(scope?.target)?.id,
    ...Object.values(objectOf(scope?.reason) ?? {}),
  ].filter((text) => typeof text === 'string');
}

/** What an entry is about: its stream, and what its data names beside. */
function aboutOf({ stream, data }: Entry): string[] {
  const named = [
    objectOf(data.subject)?.decision_id,
    objectOf(data.evidence)?.decision_id,
    data.decision_id,
    data.breakglass,
    objectOf(data.breakglass)?.id,
    objectOf(data.grant)?.id,
    data.linked_to,
  ];
  const listed = Array.isArray(data.decisions) ? data.decisions.slice(0, ABOUT_MAX) : [];
  return [stream, ...[...named, ...listed].filter((id) => typeof id === 'string')];
}

function resultsOf(data: JsonObject): string[] {
  const transitions = Array.isArray(data.transitions) ? data.transitions : [];
  const act = objectOf(data.act);
  return [transitions.at(-1), data.result, data.answer, act?.answer].filter(
    (text) => typeof text === 'string',
  );
}

/** Whether an entry is what is looked for. */
export function matchesQuery(query: SearchQuery, fields: SearchFields): boolean {
  const is = (wanted: string | undefined, value: string | null): boolean =>
    wanted === undefined || wanted === value;
  return (
    is(query.type, fields.type) &&
    is(query.stream, fields.stream) &&
    is(query.class, fields.class) &&
    is(query.target, fields.target) &&
    is(query.environment, fields.environment) &&
    (query.about === undefined || fields.about.includes(query.about)) &&
    (query.actor === undefined || fields.actors.includes(query.actor)) &&
    (query.result === undefined || fields.results.includes(query.result)) &&
    (query.since === undefined || fields.at >= query.since) &&
    (query.until === undefined || fields.at <= query.until) &&
    query.words.every((word) => fields.words.has(word))
  );
}

/** An entry that was found, as it is shown. */
export function hitOf(index: number, entry: Entry, origin: SearchOrigin = originOf(entry)): SearchHit {
  const { at, type, stream, actor, data } = entry;
  const fields = fieldsOf(entry, origin);
  const action = objectOf(data.action);
  const text = [action?.intent, data.reason, data.note, data.detail, objectOf(data.detail)?.reason].find(
    (one) => typeof one === 'string' && one !== '',
  );
  return {
    index,
    at,
    type,
    stream,
    actor: { id: actor.id, role: actor.role },
    class: fields.class,
    target: fields.target,
    environment: fields.environment,
    result: fields.results[0] ?? null,
    text: typeof text === 'string' ? text.slice(0, TEXT_MAX_LENGTH) : null,
  };
}

/*
 * Index terms: one letter for the kind, and the value in [a-z0-9], so that no tokenizer ever takes one apart and nothing
 * that somebody types can be a query language. Long values are cut short by their digest.
 */

/** The terms under which an index files an entry. */
export function indexTerms(fields: SearchFields): string[] {
  const terms = [...fields.words].map((word) => term('w', word));
  terms.push(term('t', fields.type), term('s', fields.stream));
  for (const about of new Set(fields.about)) terms.push(term('b', about));
  for (const actor of new Set(fields.actors)) terms.push(term('a', actor));
  for (const result of new Set(fields.results)) terms.push(term('r', result));
  if (fields.class !== null) terms.push(term('c', fields.class));
  if (fields.target !== null) terms.push(term('o', fields.target));
  if (fields.environment !== null) terms.push(term('e', fields.environment));
  return terms;
}

/** The terms that every entry that is looked for has. Empty when it is looked for by time alone. */
export function queryTerms(query: SearchQuery): string[] {
  const terms = query.words.map((word) => term('w', word));
  const kinds = { t: query.type, s: query.stream, a: query.actor, b: query.about, r: query.result } as const;
  const places = { c: query.class, o: query.target, e: query.environment } as const;
  for (const [kind, value] of Object.entries({ ...kinds, ...places })) {
    if (value !== undefined) terms.push(term(kind, value));
  }
  return [...new Set(terms)];
}

const TERM_MAX_LENGTH = 80;
const encoder = new TextEncoder();

function term(kind: string, value: string): string {
  if (value.length <= TERM_MAX_LENGTH && /^[a-z0-9]+$/.test(value)) return `${kind}p${value}`;
  const bytes = encoder.encode(value);
  const short = bytes.length * 2 <= TERM_MAX_LENGTH;
  return short ? `${kind}x${toHex(bytes)}` : `${kind}h${sha256Hex(bytes).slice(0, 40)}`;
}

function objectOf(value: Json | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function targetOf(value: Json | undefined): string | null {
  const target = objectOf(value);
  const [type, id] = [textOf(target?.type), textOf(target?.id)];
  return type === null || id === null ? null : `${type}:${id}`;
}
