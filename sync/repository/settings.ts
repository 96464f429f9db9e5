import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { nearest } from '../../daemon/formats/spelling.ts';
import { parseStrict } from '../../daemon/formats/strict-json.ts';
import { readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
import { ROLES } from './keys.ts';
import type { Lifetimes } from './metadata.ts';

/** Days. Sites are far away: a stick a month keeps them current, and nobody can freeze them for longer than that. */
export const LIFETIMES: Lifetimes = { root: 730, targets: 365, snapshot: 90, timestamp: 45 };

const SCHEMA = 'holdfast/publisher/v1';
const MAX_DAYS = 3_650;

/** Where a publisher by ceremony keeps what is to be signed. */
export function stagingDir(dir: string): string {
  return join(dir, 'staging');
}

/** A publisher of several people has settings; a dev site's has all keys instead. */
export function isByCeremony(dir: string): boolean {
  return existsSync(join(dir, 'publisher.json'));
}

/** Writes a publisher's settings: how long what it signs is good for. */
export function writeSettings(dir: string, lifetimes: Lifetimes): void {
  const text = `${JSON.stringify({ schema: SCHEMA, lifetimes: checked(lifetimes, dir) }, null, 2)}\n`;
  writeDurable(join(dir, 'publisher.json'), Buffer.from(text, 'utf8'), 0o644);
}

/** Reads them. Throws BoundaryError `publish.no_publisher` when `dir` is none, `publisher.malformed`. */
export function readSettings(dir: string): { lifetimes: Lifetimes } {
  const path = join(dir, 'publisher.json');
  let bytes: Uint8Array;
  try {
    bytes = readBounded(path, 8_192);
  } catch (cause) {
    if (!(cause instanceof BoundaryError) || cause.code !== 'file.missing') throw cause;
    throw new BoundaryError(
      'publish.no_publisher',
      `${dir} is no publisher's directory (no publisher.json). Nothing was done. Make one with "repo init".`,
      { at: dir, cause },
    );
  }
  const value = parseStrict(Buffer.from(bytes).toString('utf8'), { maxBytes: 8_192, maxDepth: 4 });
  const settings = membersOf(value, path, '', ['schema', 'lifetimes']);
  if (settings.schema !== SCHEMA)
    throw new BoundaryError(
      'publisher.malformed',
      `${path} does not say "schema": "${SCHEMA}"; nothing was done. It was made by another version of this program, or is something else.`,
      { at: path },
    );
  return { lifetimes: checked(membersOf(settings.lifetimes ?? null, path, '/lifetimes', ROLES), path) };
}

/** The members of an object of the file. A misspelt one must not vanish: the default would count, and nobody would know. */
function membersOf(value: Json, path: string, pointer: string, known: readonly string[]): JsonObject {
  const wrong = (at: string, what: string): BoundaryError =>
    new BoundaryError(
      'publisher.malformed',
      `${path}: ${at === '' ? 'the file' : at} ${what} Nothing was done.`,
      {
        at: path,
      },
    );
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(pointer, 'is not a JSON object.');
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown === undefined) return value;
  const near = nearest(unknown, known);
  throw wrong(
    `${pointer}/${unknown.slice(0, 64)}`,
    `is not a setting; ${near === null ? `known here: ${known.join(', ')}.` : `did you mean "${near}"?`}`,
  );
}

function checked(value: unknown, at: string): Lifetimes {
  const days = (role: string): number => {
    const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, role) : undefined;
    if (typeof found === 'number' && Number.isSafeInteger(found) && found >= 1 && found <= MAX_DAYS)
      return found;
    throw new BoundaryError(
      'publisher.malformed',
      `The lifetime of ${role} is a whole number of days from 1 to ${MAX_DAYS}; nothing was done.`,
      { at },
    );
  };
  const [root, targets, snapshot, timestamp] = ROLES.map(days);
  return { root: root ?? 0, targets: targets ?? 0, snapshot: snapshot ?? 0, timestamp: timestamp ?? 0 };
}
