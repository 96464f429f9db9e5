import { Metadata, MetadataKind, type TargetFile, type Targets } from '@tufjs/models';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import {
  bundlesNamed,
  isTargetName,
  type PinnedTarget,
  parseSiteTarget,
  SERIAL_MAX,
  SITE_TARGET_MAX_BYTES,
  type SiteTarget,
  siteTargetName,
} from '../formats/site-target.ts';
import { notAccepted } from './update-failure.ts';
import type { UpdateSource } from './update-source.ts';

const BUNDLE_MAX_BYTES = 1_048_576;
/** Who writes a bundle and who publishes it may have clocks so far apart. */
const CLOCKS_APART_MS = 86_400_000;

/** A verified file of the repository. */
export interface NamedFile {
  /** Path inside a repository with consistent snapshots. */
  name: string;
  bytes: Uint8Array;
}

/** The target list, if every name in it is one of ours: a repository that also serves other things is not for a site. */
export function readTargets(bytes: Uint8Array): Targets {
  const { signed } = Metadata.fromJSON(MetadataKind.Targets, JSON.parse(Buffer.from(bytes).toString('utf8')));
  const names = Object.keys(signed.targets);
  if (!names.every(isTargetName))
    throw notAccepted('update.bad_name', 'it lists files that are neither bundles nor sites');
  return signed;
}

/** Which bundles this site runs, from the repository's own word for it. Throws BoundaryError `update.*`. */
export function readSiteTarget(
  source: UpdateSource,
  targets: Targets,
  site: string,
  profile: 'dev' | null,
): { value: SiteTarget; file: NamedFile } {
  const name = siteTargetName(site);
  if (!Object.hasOwn(targets.targets, name))
    throw notAccepted(
      'update.wrong_site',
      `it says nothing about ${site}. Ask the publisher to publish for this site`,
      undefined,
      name,
    );
  const file = readTarget(source, targets, name, SITE_TARGET_MAX_BYTES);
  const value = wrapped('update.site_target', `its file for ${site} is malformed`, () =>
    parseSiteTarget(file.bytes),
  );
  if (value.serial > SERIAL_MAX)
    throw notAccepted(
      'update.serial_too_high',
      `its file for ${site} has the serial ${value.serial}, which hardly any later one could exceed (${SERIAL_MAX} is the most). Do not use it; tell the publisher that somebody signed it`,
      undefined,
      name,
    );
  if (value.site !== site)
    throw notAccepted('update.wrong_site', `its file for this site names ${value.site}`, undefined, name);
  if ((value.profile ?? null) !== profile)
    throw notAccepted(
      'update.profile',
      'its file for this site and its root disagree about being a dev publisher',
      undefined,
      name,
    );
  return { value, file };
}

/** The bundles pinned for this site, in force or in shadow, each once, each agreeing with its pin. Throws BoundaryError `update.*`. */
export function readBundles(
  source: UpdateSource,
  targets: Targets,
  siteTarget: SiteTarget,
): { digest: string; file: NamedFile }[] {
  const bundles = new Map<string, { digest: string; file: NamedFile; bundle: Bundle }>();
  for (const [environment, pinned] of bundlesNamed(siteTarget)) {
    const file =
      bundles.get(pinned.digest)?.file ?? readTarget(source, targets, pinned.path, BUNDLE_MAX_BYTES);
    if (sha256Hex(file.bytes) !== pinned.digest)
      throw notAccepted(
        'update.bundle_digest',
        `${pinned.path} is not the bundle that ${environment} is pinned to`,
        undefined,
        pinned.path,
      );
    const bundle = bundles.get(pinned.digest)?.bundle ?? parsed(file, pinned.path);
    checkBundle(bundle, siteTarget, environment, pinned);
    bundles.set(pinned.digest, { digest: pinned.digest, file, bundle });
  }
  return [...bundles.values()].map(({ digest, file }) => ({ digest, file }));
}

function parsed(file: NamedFile, path: string): Bundle {
  return wrapped(
    'update.bundle_defective',
    `the bundle ${path} is defective`,
    () => parseBundle(file.bytes).bundle,
  );
}

/** A signed bundle still is not for everyone: it must agree to this site, this environment and its own name. */
function checkBundle(
  { metadata, environments }: Bundle,
  { site, issued_at }: SiteTarget,
  environment: string,
  pinned: PinnedTarget,
): void {
  if (metadata.name !== pinned.name || metadata.version !== pinned.version)
    throw notAccepted(
      'update.bundle_name',
      `${pinned.path} calls itself ${metadata.name} version ${metadata.version}`,
      undefined,
      pinned.path,
    );
  if (!metadata.sites.includes(site))
    throw notAccepted(
      'update.bundle_site',
      `the bundle ${pinned.path} does not name ${site} among its sites. Add it to metadata.sites and publish a new version`,
      undefined,
      pinned.path,
    );
  // What was given to a site cannot be newer than that: somebody's clock or pen was wrong, and people go by the date.
  if (!(Date.parse(metadata.issued_at) <= Date.parse(issued_at) + CLOCKS_APART_MS))
    throw notAccepted(
      'update.bundle_issued',
      `the bundle ${pinned.path} says that it was issued at ${metadata.issued_at}, after it was given to ${site} (${issued_at}). Ask the publisher to correct metadata.issued_at and to publish a new version`,
      undefined,
      pinned.path,
    );
  if (!Object.hasOwn(environments, environment))
    throw notAccepted(
      'update.bundle_environment',
      `the bundle ${pinned.path} does not know the environment ${environment} that it is pinned to`,
      undefined,
      pinned.path,
    );
}

/** A target's bytes after length and SHA-256 held (TUF §5.7); the name on disk carries the digest (§6.2). */
function readTarget(source: UpdateSource, targets: Targets, name: string, max: number): NamedFile {
  const info: TargetFile | undefined = Object.hasOwn(targets.targets, name)
    ? targets.targets[name]
    : undefined;
  const digest = info?.hashes.sha256;
  if (info === undefined || digest === undefined || !/^[0-9a-f]{64}$/.test(digest))
    throw notAccepted('update.missing_target', `it does not list ${name} with a SHA-256`, undefined, name);
  if (info.length > max)
    throw notAccepted('update.file_too_large', `${name} is larger than ${max} bytes`, undefined, name);
  const slash = name.lastIndexOf('/') + 1;
  const path = `targets/${name.slice(0, slash)}${digest}.${name.slice(slash)}`;
  const bytes = source.read(path, max);
  if (bytes === null)
    throw notAccepted(
      'update.missing_file',
      `${path} is missing. Copy the whole repository and import it again`,
      undefined,
      path,
    );
  if (bytes.length !== info.length || sha256Hex(bytes) !== digest)
    throw notAccepted(
      'update.damaged',
      `${path} is not the file that was signed. Copy the whole repository again`,
      undefined,
      path,
    );
  return { name: path, bytes };
}

function wrapped<T>(code: string, says: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    throw notAccepted(code, `${says}: ${error.message.replace(/\.$/, '')}`, error);
  }
}
