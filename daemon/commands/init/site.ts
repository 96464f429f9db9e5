import { chmodSync, existsSync, lstatSync, readdirSync, realpathSync, renameSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createDevPublisher, publishFrom, repositoryDir } from '../../../sync/repository/publisher.ts';
import { openInlineEngine } from '../../engine/inline.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { PROVISIONED_CONFIG } from '../../formats/provisioning.ts';
import { type Clock, systemClock } from '../../host/clock.ts';
import { NO_SECRETS, type SecretsConfig } from '../../host/config/secrets.ts';
import { parseConfig, siteOrigin } from '../../host/config.ts';
import { makeDir, readBounded, syncDir } from '../../host/durable-file.ts';
import { findKek } from '../../host/kek.ts';
import { type Profile, type SitePaths, sitePaths } from '../../host/site.ts';
import { setUpTls } from '../../identity/issue.ts';
import { type ImportResult, importUpdate } from '../../policy/import.ts';
import { readPolicyDirectory } from '../../policy/source.ts';
import { PolicyStore } from '../../policy/store.ts';
import { profileOfRoot, ROOT_MAX_BYTES, readRoot } from '../../policy/update-root.ts';
import type { OpenedProvisioning } from '../provision/read.ts';
import { diskFailure, openBuilding } from './building.ts';
import { enrolPeople } from './people.ts';
import { beginAsProvisioned, type SiteEnrolment } from './provisioned.ts';
import { makeDirectories, makeSite } from './skeleton.ts';
import { adoptPolicy, copyPolicy, editYaml, STARTER_POLICY } from './starter.ts';

export interface InitOptions {
  dir: string;
  /** Origin, a schema-less URL. */
  site: string;
  profile: Profile;
  /** File with the policy root to pin; every profile but dev needs it, dev makes its own. */
  rootFile?: string | undefined;
  /** Dev only: the policy directory to start from instead of the starter bundle. */
  policyDir?: string | undefined;
  /** What headquarters sent, found to be what it signed; takes the place of a root file. */
  provisioned?: OpenedProvisioning | undefined;
  clock?: Clock;
}

export interface InitReport {
  dir: string;
  site: string;
  profile: Profile;
  /** Name of the site's log. */
  origin: string;
  vkey: string;
  /** Hex SHA-256 of the pinned policy root. */
  root_digest: string;
  /** Dev only. */
  publisher: { dir: string; people: string[]; policy: ImportResult } | null;
  /** What headquarters needs to take it into its books, and the policy that it begins with; null without a provisioning folder. */
  provisioned: { digest: string; policy: ImportResult; enrolment: SiteEnrolment } | null;
  /** What killed processes left beside `dir`: removed, or still there. */
  cleared: string[];
  left: string[];
}

/**
 * Makes a site in `dir`, which must be missing or empty: everything is built beside it and moved there whole at the end,
 * so that a site either is complete or is not there. Throws BoundaryError `init.*`, `site.bad_origin`, `update.bad_root`
 * or what the policy has wrong; nothing is left behind then.
 */
export async function initSite(options: InitOptions): Promise<InitReport> {
  const site = siteOrigin(options.site);
  const clock = options.clock ?? systemClock;
  const dir = freeDirectory(options.dir);
  const pinned = rootToPin(options);
  assertPolicy(options.policyDir);
  const kek = findKek(secretsOf(options));
  const building = openBuilding(dir);
  try {
    const paths = sitePaths(building.dir);
    makeDirectories(paths);
    const publisher =
      pinned === null ? makePublisher(paths, site, clock.now(), options.policyDir ?? STARTER_POLICY) : null;
    const made = makeSite(paths, {
      site,
      profile: options.profile,
      root: pinned ?? publisher?.root ?? new Uint8Array(),
      operatorActor: publisher?.people[0] ?? null,
      now: clock.now(),
      kek,
      provisioned:
        options.provisioned === undefined
          ? null
          : { config: options.provisioned.config, digest: options.provisioned.digest },
    });
    await setUpTls(paths, site, clock.now(), kek);
    const policy =
      publisher === null ? null : await firstPolicy(paths, site, clock, publisher.people[0] ?? null);
    const provisioned =
      options.provisioned === undefined ? null : await beginAsProvisioned(paths, options.provisioned, clock);
    chmodSync(building.dir, 0o755);
    syncDir(building.dir);
    // The point of no return: the site exists from here on.
    renameSync(building.dir, dir);
    syncDir(dirname(dir));
    return {
      dir,
      site,
      profile: options.profile,
      origin: made.origin,
      vkey: made.vkey,
      root_digest: made.rootDigest,
      publisher:
        publisher === null || policy === null
          ? null
          : { dir: sitePaths(dir).publisher, people: publisher.people, policy },
      provisioned,
      cleared: building.cleared,
      left: building.left,
    };
  } catch (error) {
    throw storageFailure(error, dir) ?? error;
  } finally {
    building.close();
  }
}

function storageFailure(error: unknown, dir: string): BoundaryError | null {
  const failure = diskFailure(error);
  if (failure === null) return null;
  return new BoundaryError(
    'init.not_written',
    `No site was made: ${failure.why} while ${dir} was built. What was begun is removed. ${failure.next}, or name another directory with --dir.`,
    { at: dir, cause: error },
  );
}

/** Never overwrites: an existing site holds the only copy of its keys and history. */
export function freeDirectory(wanted: string): string {
  const asked = resolve(wanted);
  const dir = existsSync(asked) ? realpathSync(asked) : asked;
  const stat = lstatSync(dir, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory())
    throw new BoundaryError('init.not_free', `${dir} is a file; no site was made.`, { at: dir });
  if (stat !== undefined && readdirSync(dir).length > 0) {
    const what = existsSync(sitePaths(dir).config) ? 'There is a site' : 'There are files';
    throw new BoundaryError(
      'init.not_free',
      `${what} in ${dir} already; nothing was changed. Sites are never overwritten: name another directory with --dir.`,
      { at: dir },
    );
  }
  if (stat !== undefined && statSync(dirname(dir)).dev !== stat.dev)
    throw new BoundaryError(
      'init.mount_point',
      `A disk is mounted at ${dir}, and a site is built beside its place and moved there; nothing was changed. Name a directory on that disk: --dir ${join(dir, 'site')}.`,
      { at: dir },
    );
  if (!existsSync(dirname(dir)))
    throw new BoundaryError(
      'init.no_parent',
      `${dirname(dir)} does not exist; no site was made. Create it first.`,
      { at: dirname(dir) },
    );
  return dir;
}

/** Named here by the path that was given; what is copied has a temporary one. */
function assertPolicy(dir: string | undefined): void {
  if (dir === undefined || existsSync(join(dir, 'metadata.yaml'))) return;
  throw new BoundaryError(
    'init.bad_policy',
    `There is no policy in ${dir} (no metadata.yaml there); no site was made.`,
    { at: dir },
  );
}

/** A credential of this very process, unless headquarters' settings name a file: a new site has none yet. */
function secretsOf({ provisioned }: InitOptions): SecretsConfig {
  if (provisioned === undefined) return NO_SECRETS;
  return parseConfig(Buffer.from(provisioned.config).toString('utf8'), PROVISIONED_CONFIG).secrets;
}

/** The root given for a real profile; null for dev, which makes its own. Refuses to guess, and to mix the two worlds. */
function rootToPin({ profile, rootFile, policyDir, provisioned }: InitOptions): Uint8Array | null {
  if (provisioned !== undefined) return provisioned.root;
  if (profile === 'dev') {
    if (rootFile === undefined) return null;
    throw new BoundaryError(
      'init.dev_root',
      'A dev site makes its own publisher and takes no --root; no site was made. Leave --root out, or choose --profile node.',
    );
  }
  if (policyDir !== undefined)
    throw new BoundaryError(
      'init.policy_not_here',
      `A site of profile ${profile} takes policy only from signed updates ("holdfast import PATH"), not by --policy; no site was made.`,
    );
  if (rootFile === undefined)
    throw new BoundaryError(
      'init.root_missing',
      `A site of profile ${profile} must pin a policy root: give headquarters' root file with --root root.json. No site was made.`,
    );
  const { bytes, root } = readRootFile(rootFile);
  if (profileOfRoot(root) === 'dev') {
    throw new BoundaryError(
      'init.dev_root',
      `${rootFile} belongs to a dev publisher, whose keys lie unprotected on a developer's machine; a site of profile ${profile} never pins it. No site was made.`,
      { at: rootFile },
    );
  }
  return bytes;
}

/** What `readRoot` says of updates to a site says nothing useful here: there is no site yet. */
function readRootFile(path: string): { bytes: Uint8Array; root: ReturnType<typeof readRoot> } {
  try {
    const bytes = readBounded(path, ROOT_MAX_BYTES);
    return { bytes, root: readRoot(bytes) };
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    const why = cause.code.startsWith('file.')
      ? cause.message
      : `${path} is no policy root: it is malformed, or not signed by its own keys.`;
    throw new BoundaryError(
      cause.code,
      `${why} No site was made. Give the root.json that headquarters hands out.`,
      { at: path, cause },
    );
  }
}

/** Dev: publisher keys, an empty repository, and the starter policy with keys for its people. */
function makePublisher(
  paths: SitePaths,
  site: string,
  now: number,
  starter: string,
): { root: Uint8Array; people: string[] } {
  makeDir(paths.publisher, 0o700);
  const { root } = createDevPublisher(paths.publisher, { name: site, now });
  const source = join(paths.publisher, 'policy');
  copyPolicy(starter, source);
  adoptPolicy(source, { sites: [site], issuedAt: `${new Date(now).toISOString().slice(0, 19)}Z` });
  const keys = join(paths.publisher, 'people');
  return {
    root,
    people: editYaml(join(source, 'principals.yaml'), (document) => enrolPeople(document, keys, site)),
  };
}

/** The policy of `publisher/policy` goes the same way in that every later update takes. */
async function firstPolicy(
  paths: SitePaths,
  site: string,
  clock: Clock,
  who: string | null,
): Promise<ImportResult> {
  const { bundle, bytes } = readPolicyDirectory(join(paths.publisher, 'policy'));
  const { name, version } = bundle.metadata;
  publishFrom(paths.publisher, {
    bundle: { name, version, bytes },
    site,
    environments: Object.keys(bundle.environments),
    now: clock.now(),
  });
  const engine = await openInlineEngine(paths.root);
  try {
    const request = {
      path: repositoryDir(paths.publisher),
      source: 'publisher/repository',
      paths,
      site,
      engine,
      clock,
      who,
    };
    const policy = await importUpdate({ ...request, store: new PolicyStore(paths.policy) });
    if (!policy.applied) throw new BoundaryError(policy.code, policy.reason);
    return policy;
  } finally {
    await engine.stop('site created');
  }
}
