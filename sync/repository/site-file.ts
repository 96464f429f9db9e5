import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { bundleTargetName, type SiteTarget } from '../../daemon/formats/site-target.ts';
import { tufTime } from './metadata.ts';

/** A canonical bundle file; name and version are those of its metadata. */
export interface BundleFile {
  name: string;
  version: number;
  bytes: Uint8Array;
}

/**
 * A site's file with `bundle` for some of its environments; the others keep theirs, and the serial grows. Throws
 * BoundaryError `publish.not_newer` when the bundle is older than what one of the environments runs.
 */
export function nextSiteTarget(
  before: SiteTarget | null,
  change: {
    site: string;
    environments: readonly string[];
    bundle: BundleFile;
    profile: 'dev' | null;
    now: number;
  },
): SiteTarget {
  const { site, environments, bundle, profile, now } = change;
  assertNotOlder(before, environments, bundle);
  const { name, version } = bundle;
  const pinned = { name, version, digest: sha256Hex(bundle.bytes), path: bundleTargetName(name, version) };
  return {
    schema: 'holdfast/site/v1',
    site,
    serial: (before?.serial ?? 0) + 1,
    issued_at: tufTime(now),
    ...(profile === null ? {} : { profile }),
    environments: {
      ...before?.environments,
      ...Object.fromEntries(environments.map((environment) => [environment, pinned])),
    },
  };
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
