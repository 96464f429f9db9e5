import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { currentLog, firstLineage, type LogLineage, newestKey, parseLogs } from '../formats/log-keys.ts';
import { parseVkey } from '../formats/signed-note.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, writeDurable } from './durable-file.ts';

/*
 * The public side of a site's ledger keys, under `trust/`: `ledger.vkey` is the key in use, one line; `logs.json` all keys
 * of all logs, each with the checkpoints that it may sign. A site that never changed its key has no need of the second.
 */

const LOGS = 'logs.json';
const VKEY = 'ledger.vkey';
const LOGS_MAX_BYTES = 1_048_576;
const VKEY_MAX_BYTES = 65_536;

/** The files that this is read from, under `trust/`. */
export const LINEAGE_FILES: readonly string[] = [VKEY, LOGS];

/**
 * A site's logs, oldest first, from its trust directory: the last one is the one in use. Throws `BoundaryError`
 * `trust.malformed`, `file.*`.
 */
export function readLineage(trust: string): LogLineage[] {
  const path = join(trust, LOGS);
  if (!existsSync(path)) return [ofVkey(join(trust, VKEY))];
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readBounded(path, LOGS_MAX_BYTES));
    const value = parseStrict(text, { maxBytes: LOGS_MAX_BYTES, maxDepth: 6 });
    const isOurs = typeof value === 'object' && value !== null && !Array.isArray(value) && value.v === 1;
    return parseLogs(isOurs ? value.logs : undefined);
  } catch (cause) {
    const why = cause instanceof BoundaryError ? cause.message : 'It is not text.';
    throw malformed(path, why, cause);
  }
}

/** Writes both files, each whole or not at all. The list first: the single key is worth nothing without its sizes. */
export function writeLineage(trust: string, logs: readonly LogLineage[]): void {
  const text = `${JSON.stringify({ v: 1, logs }, null, 2)}\n`;
  writeDurable(join(trust, LOGS), Buffer.from(text, 'utf8'), 0o644);
  const { vkey } = newestKey(currentLog(logs));
  writeDurable(join(trust, VKEY), Buffer.from(`${vkey}\n`, 'utf8'), 0o644);
}

function ofVkey(path: string): LogLineage {
  const [vkey, ...more] = new TextDecoder()
    .decode(readBounded(path, VKEY_MAX_BYTES))
    .split('\n')
    .filter((line) => line !== '');
  if (vkey === undefined || more.length > 0) throw malformed(path, 'It should hold one key.');
  return firstLineage(parseVkey(vkey).name, vkey);
}

function malformed(path: string, why: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'trust.malformed',
    `${path} does not say which keys sign for this site's ledger: ${why} Nothing was done. Put it back from another copy.`,
    { at: path, cause },
  );
}
