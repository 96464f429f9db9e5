import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { assertIssued } from '../../../sync/repository/issued.ts';
import { readPublicKey } from '../../../sync/repository/key-file.ts';
import { proposeDelegation, proposePublication, proposeReturn } from '../../../sync/repository/propose.ts';
import { publishFrom, repositoryDir } from '../../../sync/repository/publisher.ts';
import { namedKey } from '../../../sync/repository/roles.ts';
import { isByCeremony } from '../../../sync/repository/settings.ts';
import type { EffectiveAt, ShadowFile } from '../../../sync/repository/site-file.ts';
import { type Bundle, parseBundle } from '../../core/bundle.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { isRegionName } from '../../formats/site-target.ts';
import { isInstant } from '../../formats/timestamp.ts';
import { siteOrigin } from '../../host/config.ts';
import { readBounded } from '../../host/durable-file.ts';
import { readPolicyDirectory } from '../../policy/source.ts';
import type { SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { paint, rows } from '../render/text.ts';
import { parseThreshold } from './keys.ts';
import { showStaged } from './staged.ts';

const BUNDLE_MAX_BYTES = 1_048_576;

interface PublishOptions extends SiteOptions {
  site: string;
  env?: string[];
  effectiveAt?: string;
  shadow?: string;
  shadowClass?: string[];
}

interface DelegateOptions extends SiteOptions {
  site: string[];
  key?: string[];
  threshold?: string;
}

const PUBLISH_HELP = `
DIR is a publisher's directory; BUNDLE is a file from "policy build" or a policy directory. Raise metadata.version for
every change: a version is published once.
A publisher made by "repo init" stages the next metadata for its signers: repo sign, repo finish. The one of a dev site (in
publisher/) holds all keys and publishes at once.

With --shadow another bundle is judged beside the one in force: recorded with every decision, never enforced. It stays
in shadow until the next publication for that environment; "policy shadow" at the site counts what it would have changed.

Examples:
  holdfast repo publish .holdfast/publisher .holdfast/publisher/policy --site outpost-7.example
  holdfast repo publish hq active.json --site outpost-7.example --env production --shadow next.json
  holdfast import .holdfast/publisher/repository`;

const DELEGATE_HELP = `
The region's keys sign which bundle each of its sites runs, and nothing else: bundles stay under the targets keys, and no
region can touch another's sites.

Example:
  holdfast repo delegate hq north --site outpost-7.example outpost-8.example --key nora.pub nils.pub --threshold 2`;

const UNDELEGATE_HELP = `
What the sites run stays as it is. A region that is left without sites is dissolved; one that keeps others signs its list
anew. Where its signers cannot or will not, give the region other keys first: repo rotate DIR REGION.

Example:
  holdfast repo undelegate hq --site outpost-7.example`;

/** `repo publish`: a bundle for environments of one site. */
export function publishCommand(): Command {
  return new Command('publish')
    .description('Propose a bundle for environments of one site (a dev publisher publishes at once).')
    .argument('<dir>', "publisher's directory")
    .argument('<bundle>', 'bundle file or policy directory')
    .requiredOption('--site <origin>', 'the site it is for')
    .option('--env <name...>', 'environments that shall run it (default: all that the bundle knows)')
    .option('--effective-at <time>', 'when it takes effect: RFC 3339 such as 2026-12-01T06:00:00Z, or now')
    .option('--shadow <bundle>', 'bundle to judge beside it in these environments, and never to enforce')
    .option('--shadow-class <class...>', 'action classes that it is asked about (default: all)')
    .addHelpText('after', PUBLISH_HELP)
    .action((dir: string, bundle: string, options: PublishOptions) =>
      runPublish(resolve(dir), resolve(bundle), options),
    );
}

/** `repo delegate`: sites that a region signs for. */
export function delegateCommand(): Command {
  return new Command('delegate')
    .description("Propose that a region's keys sign for some sites, and for nothing else.")
    .argument('<dir>', "publisher's directory")
    .argument('<region>', 'name of the region')
    .requiredOption('--site <origin...>', 'sites that go to the region')
    .option('--key <key...>', 'public keys (.pub files) of a new region')
    .option('--threshold <n>', 'how many of them must sign (default: 2, or 1 for a single key)')
    .addHelpText('after', DELEGATE_HELP)
    .action((dir: string, region: string, options: DelegateOptions) => {
      if (!isRegionName(region))
        throw new BoundaryError(
          'region.bad_name',
          'A region has a name of lower-case letters, digits, - and _ (at most 64) that is no role of TUF; nothing was staged.',
          { at: 'region' },
        );
      const keys = options.key?.map((path) => namedKey(readPublicKey(resolve(path))));
      proposeDelegation(resolve(dir), {
        region,
        sites: options.site.map(siteOrigin),
        keys:
          keys === undefined
            ? null
            : { keys, threshold: parseThreshold(options.threshold) ?? Math.min(2, keys.length) },
        now: Date.now(),
      });
      showStaged(resolve(dir), options);
    });
}

/** `repo undelegate`: sites that the top-level keys sign for again. */
export function undelegateCommand(): Command {
  return new Command('undelegate')
    .description('Propose that the targets keys sign for some sites again, in place of their region.')
    .argument('<dir>', "publisher's directory")
    .requiredOption('--site <origin...>', 'sites that come back')
    .addHelpText('after', UNDELEGATE_HELP)
    .action((dir: string, options: DelegateOptions) => {
      proposeReturn(resolve(dir), { sites: options.site.map(siteOrigin), now: Date.now() });
      showStaged(resolve(dir), options);
    });
}

function runPublish(dir: string, bundlePath: string, options: PublishOptions): void {
  const site = siteOrigin(options.site);
  const { bundle, bytes } = readBundle(bundlePath);
  const environments = options.env ?? Object.keys(bundle.environments);
  assertMeantFor(bundle, site, environments);
  const { name, version } = bundle.metadata;
  const effective_at = parseEffectiveAt(options.effectiveAt);
  const shadow = readShadow(options, site, environments);
  const change = {
    bundle: { name, version, bytes },
    site,
    environments,
    now: Date.now(),
    effective_at,
    shadow,
  };
  if (isByCeremony(dir)) {
    const { digest, serial, region } = proposePublication(dir, change);
    showStaged(dir, options, { site, environments, bundle: { name, version, digest }, serial, region });
    return;
  }
  const published = publishFrom(dir, change);
  const report = {
    repository: repositoryDir(dir),
    site,
    environments,
    bundle: { name, version, digest: published.digest },
    ...(shadow === undefined ? {} : { shadow: named(shadow) }),
    serial: published.serial,
    versions: published.versions,
  };
  if (options.json) printJson(report);
  else
    print(
      `${paint('bold', 'PUBLISHED')}  ${name}@${version} for ${site}\n${rows([
        ['environments', environments.join(', ')],
        ['digest', published.digest],
        ['in shadow', shadow === undefined ? '' : named(shadow)],
        ['serial', String(published.serial)],
      ])}\n\nNext:\n  holdfast import ${report.repository}`,
    );
}

/** What is to be in shadow, as the site would take it: meant for it, and for each of the environments. */
function readShadow(
  { shadow: path, shadowClass }: PublishOptions,
  site: string,
  environments: readonly string[],
): ShadowFile | undefined {
  if (path === undefined && shadowClass !== undefined)
    throw new BoundaryError(
      'publish.shadow_missing',
      'Classes were named for a bundle in shadow, and no bundle; nothing was published. Name it with --shadow.',
      { at: '--shadow-class' },
    );
  if (path === undefined) return undefined;
  const { bundle, bytes } = readBundle(resolve(path));
  assertMeantFor(bundle, site, environments);
  const unknown = shadowClass?.find((name) => !Object.hasOwn(bundle.actions, name));
  if (unknown !== undefined)
    throw new BoundaryError(
      'publish.shadow_class',
      `The bundle for the shadow has no action class ${unknown}; nothing was published.`,
      { at: '--shadow-class' },
    );
  const { name, version } = bundle.metadata;
  return { bundle: { name, version, bytes }, classes: shadowClass ?? null };
}

function named({ bundle, classes }: ShadowFile): string {
  return `${bundle.name}@${bundle.version}${classes === null ? '' : ` for ${classes.join(', ')}`}`;
}

function parseEffectiveAt(text: string | undefined): EffectiveAt {
  if (text === undefined || text === 'now') return text;
  if (isInstant(text)) return Date.parse(text);
  throw new BoundaryError(
    'publish.effective_at',
    'Write --effective-at as a time in UTC, such as 2026-12-01T06:00:00Z, or as now; nothing was published.',
    { at: '--effective-at' },
  );
}

function readBundle(path: string): { bundle: Bundle; bytes: Uint8Array } {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return readPolicyDirectory(path);
  const bytes = readBounded(path, BUNDLE_MAX_BYTES);
  return { bundle: parseBundle(bytes).bundle, bytes };
}

/** What the site would refuse is not signed in the first place. */
function assertMeantFor(bundle: Bundle, site: string, environments: readonly string[]): void {
  const { name, version, issued_at } = bundle.metadata;
  assertIssued(`${name} version ${version}`, issued_at, {
    now: Date.now(),
    code: 'publish.issued_in_future',
    by: 'person',
  });
  if (!bundle.metadata.sites.includes(site))
    throw new BoundaryError(
      'publish.bundle_site',
      `The bundle does not name ${site} in metadata.sites, so the site would refuse it; nothing was published.`,
    );
  const unknown = environments.find((environment) => !Object.hasOwn(bundle.environments, environment));
  if (unknown !== undefined)
    throw new BoundaryError(
      'publish.bundle_environment',
      `The bundle does not know the environment ${unknown}; it knows ${Object.keys(bundle.environments).join(', ')}. Nothing was published.`,
      { at: '--env' },
    );
}
