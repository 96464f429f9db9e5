import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import type { Json, JsonObject } from '../daemon/formats/json.ts';
import {
  bundlesNamed,
  isRegionName,
  isTargetName,
  parseSiteTarget,
  siteTargetName,
} from '../daemon/formats/site-target.ts';
import { parseStrict } from '../daemon/formats/strict-json.ts';

/*
 * Reads from TUF metadata which files come next. Signatures, expiry and versions are not looked at: the daemon verifies
 * what arrives, and this process must not be able to talk it out of that.
 */

const MAX_BYTES = 16_777_216;
const MAX_DEPTH = 32;

/** A file below the repository and the most bytes that its metadata gives it. */
export interface Wanted {
  name: string;
  max: number;
}

/** The snapshot that a timestamp names (TUF §5.4). */
export function snapshotOf(timestamp: Uint8Array): string {
  const { meta } = signedPart(timestamp, 'timestamp.json');
  return `metadata/${versionOf(meta, 'snapshot.json', 'timestamp.json')}.snapshot.json`;
}

/** The targets list that a snapshot names, or that of a delegated role (TUF §5.5). */
export function targetsOf(snapshot: Uint8Array, role = 'targets'): string {
  const { meta } = signedPart(snapshot, 'snapshot.json');
  return `metadata/${versionOf(meta, `${role}.json`, 'snapshot.json')}.${role}.json`;
}

/** The region that this site's file is delegated to; null when the top-level list has it (TUF §5.6.7). */
export function regionOf(targets: Uint8Array, site: string): string | null {
  const { targets: listed, delegations } = signedPart(targets, 'targets.json');
  const wanted = siteTargetName(site);
  if (isObject(listed) && Object.hasOwn(listed, wanted)) return null;
  const roles = isObject(delegations) && Array.isArray(delegations.roles) ? delegations.roles : [];
  const role = roles.find((one) => isObject(one) && Array.isArray(one.paths) && one.paths.includes(wanted));
  const name = isObject(role) ? role.name : undefined;
  if (typeof name === 'string' && isRegionName(name)) return name;
  throw misshapen('targets.json', `says nothing about ${site}`);
}

/** Where the target `name` lies: with consistent snapshots its digest stands before the last part (TUF §6.2). */
export function targetFile(targets: Uint8Array, name: string): Wanted {
  const { targets: listed } = signedPart(targets, 'targets.json');
  const info = isObject(listed) && Object.hasOwn(listed, name) ? listed[name] : undefined;
  const hashes = isObject(info) && isObject(info.hashes) ? info.hashes : {};
  const { sha256 } = hashes;
  const length = isObject(info) ? info.length : undefined;
  if (!isTargetName(name) || typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw misshapen('targets.json', `lists no ${name} with a SHA-256`);
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0)
    throw misshapen('targets.json', `gives ${name} no length`);
  const slash = name.lastIndexOf('/') + 1;
  return { name: `targets/${name.slice(0, slash)}${sha256}.${name.slice(slash)}`, max: length };
}

/** Target names of the bundles that a site's file pins, each once. */
export function bundlesOf(siteFile: Uint8Array): string[] {
  return [...new Set(bundlesNamed(parseSiteTarget(siteFile)).map(([, { path }]) => path))];
}

/** The version of a root file, such as the pinned one (TUF §5.3). */
export function rootVersion(root: Uint8Array): number {
  const { version } = signedPart(root, 'root.json');
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1) return version;
  throw misshapen('root.json', 'has no version');
}

function versionOf(meta: Json | undefined, name: string, file: string): number {
  const entry = isObject(meta) && Object.hasOwn(meta, name) ? meta[name] : undefined;
  const version = isObject(entry) ? entry.version : undefined;
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1) return version;
  throw misshapen(file, `names no version of ${name}`);
}

function signedPart(bytes: Uint8Array, file: string): JsonObject {
  let value: Json;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: MAX_DEPTH });
  } catch (cause) {
    throw misshapen(file, 'is not JSON', cause);
  }
  if (isObject(value) && isObject(value.signed)) return value.signed;
  throw misshapen(file, 'has no signed part');
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function misshapen(file: string, what: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'sync.not_a_repository',
    `The mirror's ${file} ${what}; the round ended and nothing was handed on. Tell whoever runs the mirror.`,
    { at: file, cause },
  );
}
