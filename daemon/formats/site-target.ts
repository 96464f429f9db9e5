import { BoundaryError } from './boundary-error.ts';
import { canonicalText } from './canonical-json.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';
import { isInstant } from './timestamp.ts';

/*
 * Our own targets inside a TUF repository: `bundles/NAME/VERSION.json` holds a policy bundle, `sites/SITE.json` says which
 * bundle each environment of that site runs (environment pinning).
 */

export const SITE_TARGET_MAX_BYTES = 65_536;
/** A serial only grows, so one that is near the end of numbers would be the last for ever. */
export const SERIAL_MAX = 2_000_000_000;
/** How far ahead of the serial in force the next one may be; that many publications nobody misses. */
export const SERIAL_STEP_MAX = 1_000_000;

/** A bundle as the site target pins it. */
export interface PinnedTarget {
  name: string;
  version: number;
  /** Hex SHA-256 of the bundle's bytes. */
  digest: string;
  /** TUF target name. */
  path: string;
}

/** A bundle that is judged beside the one in force, recorded and never enforced. */
export interface ShadowTarget extends PinnedTarget {
  /** Action classes that it is asked about; absent: all. */
  classes?: string[];
}

/** What an environment runs, and what it has in shadow. */
export interface EnvironmentTarget extends PinnedTarget {
  shadow?: ShadowTarget;
}

export interface SiteTarget {
  schema: 'holdfast/site/v1';
  site: string;
  /** Only grows; a site never goes back. */
  serial: number;
  /** RFC 3339 UTC; an outside time that the site may believe once the signatures hold. */
  issued_at: string;
  /** RFC 3339 UTC; from when on it counts. Absent: at once. */
  effective_at?: string;
  /** Stamp of a local 1-of-1 publisher; absent for a real one. */
  profile?: 'dev';
  environments: Record<string, EnvironmentTarget>;
}

export function siteTargetName(site: string): string {
  return `sites/${site}.json`;
}

export function bundleTargetName(name: string, version: number): string {
  return `bundles/${name}/${version}.json`;
}

/** Whether a repository for holdfast sites may contain a target of this name; any other makes the repository suspect. */
export function isTargetName(name: string): boolean {
  if (name.length > 300 || name.includes('..') || name.includes('//')) return false;
  return (
    /^bundles\/[a-z][a-z0-9_.-]{0,63}\/[1-9][0-9]{0,9}\.json$/.test(name) ||
    /^sites\/[a-z0-9][a-z0-9./_-]*\.json$/.test(name)
  );
}

/** Whether a delegation may name this target: one site's file, no pattern. */
export function isSiteTargetName(name: string): boolean {
  return name.startsWith('sites/') && isTargetName(name);
}

/** Whether a delegated role may be called so: a region whose keys sign some sites' files. */
export function isRegionName(name: string): boolean {
  return /^[a-z][a-z0-9_-]{0,63}$/.test(name) && !['root', 'targets', 'snapshot', 'timestamp'].includes(name);
}

/** Canonical JSON text. */
export function formatSiteTarget(target: SiteTarget): string {
  return canonicalText(target as unknown as JsonObject);
}

/** Strict: exactly these members, else BoundaryError `site_target.malformed` with `at` = JSON pointer. */
export function parseSiteTarget(bytes: Uint8Array): SiteTarget {
  const text = decode(bytes);
  const value = members(parseStrict(text, { maxBytes: SITE_TARGET_MAX_BYTES, maxDepth: 6 }), '');
  const known = ['schema', 'site', 'serial', 'issued_at', 'effective_at', 'profile', 'environments'];
  only(value, known, '');
  if (value.schema !== 'holdfast/site/v1') throw malformed('/schema', '"holdfast/site/v1"');
  if (value.profile !== undefined && value.profile !== 'dev') throw malformed('/profile', '"dev" or nothing');
  const environments = Object.entries(members(value.environments, '/environments'));
  if (environments.length === 0 || environments.length > 32)
    throw malformed('/environments', '1 to 32 environments');
  return {
    schema: 'holdfast/site/v1',
    site: matching(value.site, /^[a-z0-9./_-]{1,200}$/, '/site'),
    serial: positive(value.serial, '/serial'),
    issued_at: instant(value.issued_at, '/issued_at'),
    ...(value.effective_at === undefined
      ? {}
      : { effective_at: instant(value.effective_at, '/effective_at') }),
    ...(value.profile === 'dev' ? { profile: 'dev' as const } : {}),
    environments: Object.fromEntries(
      environments.map(([name, pinned]) => [
        environmentName(name),
        parseEnvironment(pinned, `/environments/${name}`),
      ]),
    ),
  };
}

/** Every bundle that a site's file names, in force or in shadow, with the environment that it is named for. */
export function bundlesNamed({ environments }: Pick<SiteTarget, 'environments'>): [string, PinnedTarget][] {
  return Object.entries(environments).flatMap(([environment, pinned]): [string, PinnedTarget][] =>
    pinned.shadow === undefined
      ? [[environment, pinned]]
      : [
          [environment, pinned],
          [environment, pinned.shadow],
        ],
  );
}

function parseEnvironment(value: Json, at: string): EnvironmentTarget {
  const { shadow, ...pinned } = members(value, at);
  const parsed = parsePinned(pinned, at);
  return shadow === undefined ? parsed : { ...parsed, shadow: parseShadow(shadow, `${at}/shadow`) };
}

function parseShadow(value: Json, at: string): ShadowTarget {
  const { classes, ...pinned } = members(value, at);
  const parsed = parsePinned(pinned, at);
  if (classes === undefined) return parsed;
  if (!Array.isArray(classes) || classes.length === 0 || classes.length > 256)
    throw malformed(`${at}/classes`, '1 to 256 action classes');
  const names = classes.map((name) => matching(name, /^[a-z][a-z0-9_]{0,63}$/, `${at}/classes`));
  return { ...parsed, classes: names };
}

function parsePinned(pinned: JsonObject, at: string): PinnedTarget {
  only(pinned, ['name', 'version', 'digest', 'path'], at);
  const name = matching(pinned.name, /^[a-z][a-z0-9_.-]{0,63}$/, `${at}/name`);
  const version = positive(pinned.version, `${at}/version`);
  const path = bundleTargetName(name, version);
  if (pinned.path !== path) throw malformed(`${at}/path`, `"${path}"`);
  return { name, version, digest: matching(pinned.digest, /^[0-9a-f]{64}$/, `${at}/digest`), path };
}

function environmentName(name: string): string {
  return matching(name, /^[a-z][a-z0-9_-]{0,31}$/, '/environments');
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BoundaryError('site_target.malformed', 'The site target is not UTF-8 text.', { cause });
  }
}

function members(value: Json | undefined, at: string): JsonObject {
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value))
    throw malformed(at, 'an object');
  return value;
}

function only(value: JsonObject, known: string[], at: string): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw malformed(at, `only ${known.join(', ')}`);
}

function matching(value: Json | undefined, shape: RegExp, at: string): string {
  if (typeof value !== 'string' || !shape.test(value)) throw malformed(at, `text like ${shape.source}`);
  return value;
}

function instant(value: Json | undefined, at: string): string {
  const text = matching(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, at);
  if (!isInstant(text)) throw malformed(at, 'a time that exists');
  return text;
}

function positive(value: Json | undefined, at: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw malformed(at, 'a whole number from 1 on');
  return value;
}

function malformed(at: string, wanted: string): BoundaryError {
  return new BoundaryError(
    'site_target.malformed',
    `The site target is malformed${at === '' ? '' : ` at ${at}`}: expected ${wanted}.`,
    { at },
  );
}
