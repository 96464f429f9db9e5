import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import {
  bundleTargetName,
  type PinnedTarget,
  SERIAL_MAX,
  type ShadowTarget,
  type SiteTarget,
} from '../../daemon/formats/site-target.ts';
import { tufTime } from './metadata.ts';

/** A canonical bundle file; name and version are those of its metadata. */
export interface BundleFile {
  name: string;
  version: number;
  bytes: Uint8Array;
}

/**
 * From when on a publication counts, as its maker says: an instant (milliseconds since 1970), `now`, or nothing.
 */
export type EffectiveAt = number | 'now' | undefined;

/** A bundle to be judged beside what a site runs, and the classes that it is asked about; null: all. */
export interface ShadowFile {
  bundle: BundleFile;
  classes: readonly string[] | null;
}

/**
 * A site's file with `bundle` for some of its environments; the others keep theirs, and the serial grows.
 * What they had in shadow ends, unless `shadow` says what they have. Throws
 * BoundaryError `publish.not_newer` when the bundle is older than what one of the environments runs, and
 * `publish.scheduled` or `publish.effective_at` when it is not clear, or cannot be, when all of it takes effect.
 */
export function nextSiteTarget(
  before: SiteTarget | null,
  change: {
    site: string;
    environments: readonly string[];
    bundle: BundleFile;
    shadow?: ShadowFile | undefined;
    profile: 'dev' | null;
    now: number;
    effective_at?: EffectiveAt;
  },
): SiteTarget {
  const { site, environments, bundle, profile, now } = change;
  const effective = effectiveAt(before, change.effective_at, now);
  assertNotOlder(before, environments, bundle);
  if ((before?.serial ?? 0) >= SERIAL_MAX) throw serialTooHigh(site);
  if (change.shadow !== undefined) assertAnother(bundle, change.shadow.bundle);
  const shadow = change.shadow === undefined ? {} : { shadow: shadowOf(change.shadow) };
  const pinned = { ...pinOf(bundle), ...shadow };
  return {
    schema: 'holdfast/site/v1',
    site,
    serial: (before?.serial ?? 0) + 1,
    issued_at: tufTime(now),
    ...(effective === null ? {} : { effective_at: effective }),
    ...(profile === null ? {} : { profile }),
    environments: {
      ...before?.environments,
      ...Object.fromEntries(environments.map((environment) => [environment, pinned])),
    },
  };
}

/** One name and version for two contents: nobody could tell later which of them was meant. */
function assertAnother(bundle: BundleFile, shadow: BundleFile): void {
  if (bundle.name !== shadow.name || bundle.version !== shadow.version) return;
  throw new BoundaryError(
    'publish.shadow_same',
    `What is to run and what is to be in shadow are both ${bundle.name} version ${bundle.version}; nothing was published. Give the one in shadow a metadata.version of its own.`,
    { at: '--shadow' },
  );
}

function pinOf({ name, version, bytes }: BundleFile): PinnedTarget {
  return { name, version, digest: sha256Hex(bytes), path: bundleTargetName(name, version) };
}

function shadowOf({ bundle, classes }: ShadowFile): ShadowTarget {
  return { ...pinOf(bundle), ...(classes === null ? {} : { classes: [...classes] }) };
}

/**
 * The date belongs to the whole file: what waits for its own must not come into force early because something else is
 * published meanwhile, nor the other way round.
 */
function effectiveAt(before: SiteTarget | null, wanted: EffectiveAt, now: number): string | null {
  const pending = before?.effective_at;
  if (wanted === undefined && pending !== undefined && Date.parse(pending) > now)
    throw new BoundaryError(
      'publish.scheduled',
      `What ${before?.site} runs changes at ${pending}, and this would change it at once; nothing was published. Say when all of it takes effect: --effective-at ${pending}, another time, or --effective-at now.`,
      { at: '--effective-at' },
    );
  if (wanted === undefined || wanted === 'now') return null;
  if (wanted > now) return tufTime(wanted);
  throw new BoundaryError(
    'publish.effective_at',
    'The time from when on it counts has passed already; nothing was published. Name one to come, or leave --effective-at out.',
    { at: '--effective-at' },
  );
}

/** A bundle's version is published once: throws BoundaryError `publish.version_taken` for other contents under it. */
export function assertVersionFree(
  bundle: BundleFile,
  published: { hashes: Record<string, string> } | undefined,
): void {
  if (published === undefined || published.hashes.sha256 === sha256Hex(bundle.bytes)) return;
  throw new BoundaryError(
    'publish.version_taken',
    `${bundle.name} version ${bundle.version} was published before with other contents; nothing was published. Raise metadata.version.`,
  );
}

function assertNotOlder(
  before: SiteTarget | null,
  environments: readonly string[],
  bundle: BundleFile,
): void {
  for (const environment of environments) {
    const pinned = before?.environments[environment];
    if (pinned === undefined || pinned.name !== bundle.name || pinned.version <= bundle.version) continue;
    throw new BoundaryError(
      'publish.not_newer',
      `${environment} runs ${pinned.name} version ${pinned.version} already; version ${bundle.version} was not published. Publish old rules again under a new version.`,
    );
  }
}

function serialTooHigh(site: string): BoundaryError {
  return new BoundaryError(
    'publish.serial_too_high',
    `The published file of ${site} has a serial that no site accepts (${SERIAL_MAX} is the most); nothing was published. Somebody signed it: revoke that key, and put the file of the last good version in its place from a copy of the repository.`,
  );
}
