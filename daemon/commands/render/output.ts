import type { Json } from '../../formats/json.ts';

/** One JSON document on its own line on stdout: the whole output under `--json`, or one item of a list. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value as Json)}\n`);
}

/** The result, for people, on stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Progress, advice and everything that is not the result: stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
