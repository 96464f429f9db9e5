import { join } from 'node:path';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { bundleTargetName } from '../../daemon/formats/site-target.ts';
import { parseStrict } from '../../daemon/formats/strict-json.ts';
import { readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
import { assertVersionFree, type BundleFile } from './site-file.ts';

/*
 * A publisher's own book of bundles that were taken off the list: what a version said once it says for ever, though no
 * list tells any more. Nobody signs it and no reader sees it.
 */

const SCHEMA = 'holdfast/dropped/v1';
const MAX_BYTES = 16_777_216;
const DIGEST = /^[0-9a-f]{64}$/;

/** Adds bundles (target name to hex SHA-256) to the book, durably. Throws BoundaryError `publisher.malformed`, `file.*`. */
export function rememberDropped(dir: string, bundles: ReadonlyMap<string, string>): void {
  const all = { ...Object.fromEntries(readDropped(dir)), ...Object.fromEntries(bundles) };
  const text = `${JSON.stringify({ schema: SCHEMA, bundles: all }, null, 1)}\n`;
  writeDurable(bookOf(dir), Buffer.from(text, 'utf8'), 0o644);
}

/** Throws BoundaryError `publish.version_taken` when this version had other contents before it was dropped. */
export function assertNotDropped(dir: string, bundle: BundleFile): void {
  const digest = readDropped(dir).get(bundleTargetName(bundle.name, bundle.version));
  assertVersionFree(bundle, digest === undefined ? undefined : { hashes: { sha256: digest } });
}

function readDropped(dir: string): ReadonlyMap<string, string> {
  const path = bookOf(dir);
  let text: string;
  try {
    text = Buffer.from(readBounded(path, MAX_BYTES)).toString('utf8');
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'file.missing') return new Map();
    throw error;
  }
  const value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 3 });
  const bundles = isObject(value) && value.schema === SCHEMA ? value.bundles : null;
  const entries = isObject(bundles ?? null) ? Object.entries(bundles as Record<string, Json>) : null;
  if (entries === null || !entries.every((entry): entry is [string, string] => isDigest(entry[1])))
    throw new BoundaryError(
      'publisher.malformed',
      `${path} is not the book of dropped bundles that this program keeps; nothing was done. Restore it from a copy.`,
      { at: path },
    );
  return new Map(entries);
}

function bookOf(dir: string): string {
  return join(dir, 'dropped.json');
}

function isObject(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDigest(value: Json): value is string {
  return typeof value === 'string' && DIGEST.test(value);
}
