import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';
import { plain } from './render/text.ts';

/*
 * What became of a medium, passed from one unit to the next in small files. Whoever reads them may be more trusted than
 * whoever wrote them, so they hold a word of a closed list and one line for people.
 */

const TAKE_WORDS = [
  'applied',
  'unchanged',
  'held',
  'refused',
  'taken',
  'nothing',
  'unavailable',
  'failed',
] as const;
const GIVE_WORDS = ['exported', 'nothing', 'failed'] as const;
type Words = { take: (typeof TAKE_WORDS)[number]; give: (typeof GIVE_WORDS)[number] };

export interface Outcome<Part extends keyof Words = keyof Words> {
  word: Words[Part];
  text: string;
}

const MAX_BYTES = 8_192;
const MAX_TEXT = 1_000;
/** What a medium asks for; the unit that may write on it runs only where this is. */
const EXPORT_WANTED = 'export-wanted';

/** Before anything is done: nothing that an earlier medium left may count for this one. */
export function forgetOutcomes(results: string): void {
  for (const name of ['take.json', 'give.json', EXPORT_WANTED]) rmSync(join(results, name), { force: true });
}

/** Written whole or not at all, for everybody to read. */
export function writeOutcome<Part extends keyof Words>(
  results: string,
  part: Part,
  outcome: Outcome<Part>,
): void {
  const text = plain(outcome.text).slice(0, MAX_TEXT);
  writeDurable(
    join(results, `${part}.json`),
    Buffer.from(`${JSON.stringify({ word: outcome.word, text })}\n`),
    0o644,
  );
}

export function wantExport(results: string): void {
  writeDurable(join(results, EXPORT_WANTED), new Uint8Array(), 0o644);
}

/** Null when there is none. Throws BoundaryError `file.*`, `json.*`; what does not fit the list counts as failed. */
export function readOutcome<Part extends keyof Words>(results: string, part: Part): Outcome<Part> | null {
  const path = join(results, `${part}.json`);
  if (!existsSync(path)) return null;
  const content = new TextDecoder().decode(readBounded(path, MAX_BYTES));
  const value: Json = parseStrict(content, { maxBytes: MAX_BYTES, maxDepth: 2 });
  const { word, text } = (typeof value === 'object' && value !== null ? value : {}) as JsonObject;
  const words: readonly string[] = part === 'take' ? TAKE_WORDS : GIVE_WORDS;
  const known = words.find((one) => one === word) ?? 'failed';
  return { word: known as Words[Part], text: typeof text === 'string' ? plain(text).slice(0, MAX_TEXT) : '' };
}
