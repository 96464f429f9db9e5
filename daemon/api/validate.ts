import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { isRecordableName } from '../core/scrub.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';

/** Returns when the value has the form; throws `BoundaryError` `request.invalid` with `at` = the offending field. */
export type Check = (value: unknown) => void;

interface SchemaError {
  keyword: string;
  /** JSON pointer into the schema, with a leading `#`. */
  schemaPath: string;
  instancePath: string;
  message: string;
  params: object;
}

/** Pointers name fields, they must not carry a payload. */
const POINTER_MAX = 200;

/**
 * Compiles a schema into a check. `where` is put before the pointer of an error (`query`, `path`, or nothing for the
 * body). Nothing is coerced, defaulted or dropped. Messages name the field and what was expected, never the value.
 */
export function compileCheck(schema: TSchema, where = ''): Check {
  const compiled = Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return;
    throw complaint(compiled.Errors(value as Json), schema, where);
  };
}

function complaint(errors: Iterable<SchemaError>, schema: TSchema, where: string): BoundaryError {
  const all = [...errors];
  // Of a union every branch complains; the deepest complaint is of the branch that fitted best.
  const named = all
    .map((error) => ({ error, ...fieldOf(error, schema) }))
    .filter(({ error }) => !isNoise(error));
  named.sort((a, b) => depth(b.pointer) - depth(a.pointer));
  const first = named[0];
  if (first === undefined) return invalid(where, '', 'does not have the form expected here');
  const same = named.filter((other) => other.pointer === first.pointer);
  return invalid(where, first.pointer, [...new Set(same.map(({ what }) => what))].slice(0, 4).join(', or '));
}

/** An unknown field fails twice: once as itself (`schema is false`), once as its object's. The latter is worded better. */
function isNoise({ keyword }: SchemaError): boolean {
  return keyword === 'boolean' || keyword === 'anyOf' || keyword === 'unevaluatedProperties';
}

function fieldOf(error: SchemaError, schema: TSchema): { pointer: string; what: string } {
  const params = error.params as Record<string, unknown>;
  const unknown = firstName(params.additionalProperties);
  if (unknown !== null)
    return { pointer: `${error.instancePath}/${tokenOf(unknown)}`, what: 'is not known here' };
  const missing = firstName(params.requiredProperties);
  if (missing !== null)
    return { pointer: `${error.instancePath}/${pointerToken(missing)}`, what: 'is missing' };
  if (error.keyword === 'const' || error.keyword === 'enum') {
    return {
      pointer: error.instancePath,
      what: `must be ${JSON.stringify(params.allowedValue ?? params.allowedValues)}`,
    };
  }
  if (error.keyword === 'pattern') {
    const wanted = descriptionAt(schema, error.schemaPath);
    if (wanted !== null) return { pointer: error.instancePath, what: `must be ${wanted}` };
  }
  return { pointer: error.instancePath, what: error.message };
}

/** The words of the schema that a value failed; a pattern tells people little. */
function descriptionAt(schema: TSchema, path: string): string | null {
  let at: unknown = schema;
  for (const token of path.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  }
  const description = (at as { description?: unknown } | undefined)?.description;
  return typeof description === 'string' ? description : null;
}

function firstName(value: unknown): string | null {
  return Array.isArray(value) && typeof value[0] === 'string' ? value[0] : null;
}

/** The caller's own name for something may be a secret that slipped into the wrong place. */
export function tokenOf(name: string): string {
  return isRecordableName(name) ? pointerToken(name) : '(a name that is not repeated)';
}

function pointerToken(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function depth(pointer: string): number {
  return pointer.split('/').length;
}

function invalid(where: string, pointer: string, what: string): BoundaryError {
  const full = `${where}${pointer}`;
  const at = full.length > POINTER_MAX ? `${full.slice(0, POINTER_MAX)}…` : full;
  const subject = at === '' ? 'the body' : at;
  return new BoundaryError('request.invalid', `${subject} ${what}; nothing was done`, { at });
}
