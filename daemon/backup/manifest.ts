import { BoundaryError } from '../formats/boundary-error.ts';
import { isHexDigest } from '../formats/digest.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';

/*
 * A backup is `age(zstd(tar(…)))`, each by other people's tools too. In the tar, in this order:
 *
 *   backup.json                  what it is of, below
 *   checkpoint                   the signed head: with tile/…, the C2SP tile directory of the ledger
 *   site/…                       files of the site, under their paths in it; large ones as parts/NNNNNN/…
 *   tables/NAME/NNNNNN.json      rows of the ledger's database but for entries and tiles, {"columns", "rows"}
 *   head.json                    the head store's row
 *   tile/L/…                     hash tiles
 *   links/NNNNNN.json            [index, index of the stream's entry before | null] of the entries in the table that follow
 *   tile/entries/…               entry bundles; `rows/NNNNNN` in the same form where retention took some of the entries
 */

export const MANIFEST = 'backup.json';
const MANIFEST_MAX_BYTES = 64 * 1024;

/** What a backup says of itself. */
export interface Manifest {
  format: 'holdfast/backup/v1';
  /** Program version that made it. */
  version: string;
  site: string;
  profile: string;
  /** RFC 3339. */
  made_at: string;
  /** The signed head that it goes up to; `root` is hex. */
  ledger: { origin: string; size: number; root: string };
  /** Whether the site's secret keys are in it. */
  keys: boolean;
}

/** Reads `backup.json`. Throws `BoundaryError` `backup.malformed`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_MAX_BYTES) throw malformedBackup('its description is too large');
  let value: Json;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = parseStrict(text, { maxBytes: MANIFEST_MAX_BYTES, maxDepth: 4 });
  } catch (cause) {
    throw malformedBackup('its description cannot be read', cause);
  }
  if (!isObject(value)) throw malformedBackup('its description is no object');
  const { format, ledger, keys } = value;
  if (format !== 'holdfast/backup/v1')
    throw malformedBackup(
      `it is of the format ${JSON.stringify(format ?? null).slice(0, 60)}, which this program does not know`,
    );
  const texts = ['version', 'site', 'profile', 'made_at'].every((key) => typeof value[key] === 'string');
  const isHead =
    isObject(ledger) &&
    typeof ledger.origin === 'string' &&
    Number.isSafeInteger(ledger.size) &&
    (ledger.size as number) > 0 &&
    isHexDigest(ledger.root);
  if (!texts || !isHead || typeof keys !== 'boolean')
    throw malformedBackup('its description lacks something');
  return value as unknown as Manifest;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is decrypted and still no backup of ours. */
export function malformedBackup(why: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'backup.malformed',
    `The file is not a backup that can be restored: ${why}. Nothing was restored. Take another copy, or an older backup.`,
    { cause },
  );
}
