import type { Json } from '../formats/json.ts';
import { editDistance } from '../formats/spelling.ts';
import { type Defect, pointerToken } from './bundle-defects.ts';

/** The part of JSON Schema that the bundle schema uses. */
interface Schema {
  type?: string;
  const?: Json;
  anyOf?: Schema[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean;
  minProperties?: number;
  maxProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
}

const SHOWN_TEXT = 60;
/** So many letters wrong, missing or too many are still a slip of the pen. */
const NEAR = 2;

/**
 * Says in an author's words where a value departs from the schema: the validator's own messages do not name what was
 * found nor what would be right, and stop after a few. Whether the value is valid is the validator's word, not this one's.
 */
export function structureDefects(schema: unknown, value: Json): Defect[] {
  const defects: Defect[] = [];
  explain(schema as Schema, value, '', defects);
  return defects;
}

function explain(schema: Schema, value: Json, pointer: string, out: Defect[]): void {
  if (schema.anyOf !== undefined) explainUnion(schema.anyOf, value, pointer, out);
  else if (schema.const !== undefined) {
    if (value !== schema.const)
      out.push({ pointer, found: show(value), write_instead: `write ${show(schema.const)}` });
  } else if (!hasType(schema, value)) {
    out.push({
      pointer,
      found: show(value),
      write_instead: `write ${withArticle(schema.type)}${meaning(schema)}`,
    });
  } else if (Array.isArray(value)) explainList(schema, value, pointer, out);
  else if (typeof value === 'object' && value !== null) explainObject(schema, value, pointer, out);
  else if (typeof value === 'string') explainText(schema, value, pointer, out);
  else if (typeof value === 'number') explainNumber(schema, value, pointer, out);
}

/** Literal unions list their choices; object unions are told apart by their one literal member (`connector`). */
function explainUnion(options: Schema[], value: Json, pointer: string, out: Defect[]): void {
  const literals = options.filter((option) => option.const !== undefined);
  if (literals.length === options.length) {
    if (literals.some((option) => option.const === value)) return;
    const choices = literals.map((option) => show(option.const ?? null)).join(', ');
    out.push({ pointer, found: show(value), write_instead: `write one of ${choices}` });
    return;
  }
  const tag = Object.entries(options[0]?.properties ?? {}).find(
    ([, member]) => member.const !== undefined,
  )?.[0];
  if (tag === undefined) return;
  const tagged =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? value[tag] : undefined;
  const chosen = options.find((option) => option.properties?.[tag]?.const === tagged);
  if (chosen !== undefined) {
    explain(chosen, value, pointer, out);
    return;
  }
  const choices = options.map((option) => show(option.properties?.[tag]?.const ?? null)).join(' or ');
  const misspelt = tagged === undefined ? misspellingOf(tag, options, value) : undefined;
  if (misspelt !== undefined) {
    const at = `${pointer}/${pointerToken(misspelt)}`;
    const write_instead = `did you mean "${tag}"? It says ${choices}`;
    out.push({ pointer: at, found: `the unknown key ${show(misspelt)}`, write_instead });
    return;
  }
  out.push({
    pointer,
    found: tagged === undefined ? show(value) : `${tag} ${show(tagged)}`,
    write_instead: `write an object with "${tag}": ${choices}`,
  });
}

/** A member that none of the options knows and whose name is nearly the one that tells them apart. */
function misspellingOf(tag: string, options: Schema[], value: Json): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const isKnown = (key: string) => options.some(({ properties = {} }) => Object.hasOwn(properties, key));
  return Object.keys(value).find((key) => !isKnown(key) && editDistance(key, tag, NEAR) <= NEAR);
}

function explainObject(schema: Schema, value: { [key: string]: Json }, pointer: string, out: Defect[]): void {
  const known = schema.properties ?? {};
  const [record] = Object.entries(schema.patternProperties ?? {});
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) {
      out.push({ pointer, found: `no "${key}"`, write_instead: `add "${key}"${meaning(known[key])}` });
    }
  }
  for (const [key, member] of Object.entries(value)) {
    const at = `${pointer}/${pointerToken(key)}`;
    const memberSchema = Object.hasOwn(known, key) ? known[key] : recordMember(record, key);
    if (memberSchema !== undefined) explain(memberSchema, member, at, out);
    else if (schema.additionalProperties === false) {
      out.push({ pointer: at, ...unknownKey(key, Object.keys(known), record) });
    }
  }
  const { minProperties, maxProperties } = schema;
  bounds(Object.keys(value).length, minProperties, maxProperties, 'members', pointer, out);
}

/** A record has one pattern for its keys and one schema for its members. */
function recordMember(record: [string, Schema] | undefined, key: string): Schema | undefined {
  return record !== undefined && new RegExp(record[0], 'u').test(key) ? record[1] : undefined;
}

function unknownKey(key: string, known: string[], record: [string, Schema] | undefined) {
  if (record !== undefined) {
    return { found: `the name ${show(key)}`, write_instead: `use a name that matches ${record[0]}` };
  }
  return { found: `the unknown key ${show(key)}`, write_instead: suggestion(key, known) };
}

function explainList(schema: Schema, value: Json[], pointer: string, out: Defect[]): void {
  bounds(value.length, schema.minItems, schema.maxItems, 'items', pointer, out);
  const { items } = schema;
  if (items === undefined) return;
  for (const [index, item] of value.entries()) explain(items, item, `${pointer}/${index}`, out);
}

function explainText(schema: Schema, value: string, pointer: string, out: Defect[]): void {
  bounds(value.length, schema.minLength, schema.maxLength, 'characters', pointer, out);
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    out.push({
      pointer,
      found: show(value),
      write_instead: `write text that matches ${schema.pattern}${meaning(schema)}`,
    });
  }
}

function explainNumber(schema: Schema, value: number, pointer: string, out: Defect[]): void {
  const { minimum, exclusiveMinimum, maximum } = schema;
  if (minimum !== undefined && value < minimum) {
    out.push({ pointer, found: show(value), write_instead: `write ${minimum} or more` });
  } else if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) {
    out.push({ pointer, found: show(value), write_instead: `write more than ${exclusiveMinimum}` });
  } else if (maximum !== undefined && value > maximum) {
    out.push({ pointer, found: show(value), write_instead: `write ${maximum} or less` });
  }
}

function bounds(
  size: number,
  min: number | undefined,
  max: number | undefined,
  of: string,
  pointer: string,
  out: Defect[],
): void {
  if (min !== undefined && size < min)
    out.push({ pointer, found: `${size} ${of}`, write_instead: `write at least ${min}` });
  if (max !== undefined && size > max)
    out.push({ pointer, found: `${size} ${of}`, write_instead: `write at most ${max}` });
}

function hasType({ type }: Schema, value: Json): boolean {
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return type === undefined || typeof value === type;
}

function withArticle(type: string | undefined): string {
  if (type === 'array') return 'a list';
  if (type === 'boolean') return 'true or false';
  return type === 'object' || type === 'integer' ? `an ${type}` : `a ${type}`;
}

function meaning(schema: Schema | undefined): string {
  return schema?.description === undefined ? '' : ` (${schema.description})`;
}

/** The nearest known key, when it is near enough to be a slip of the pen; else all of them. */
function suggestion(key: string, known: string[]): string {
  const near = known
    .map((name) => ({ name, distance: editDistance(key, name, NEAR) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (near !== undefined && near.distance <= NEAR) return `did you mean "${near.name}"?`;
  return known.length === 0 ? 'remove it' : `use one of ${known.join(', ')}`;
}

function show(value: Json): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value);
  return text.length > SHOWN_TEXT ? `${text.slice(0, SHOWN_TEXT)}…` : text;
}
