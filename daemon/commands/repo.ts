import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { publishFrom, repositoryDir } from '../../sync/repository/publisher.ts';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { siteOrigin } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import { readPolicyDirectory } from '../policy/source.ts';
import type { SiteOptions } from './access.ts';
import { print, printJson } from './render/output.ts';
import { paint, rows } from './render/text.ts';

const BUNDLE_MAX_BYTES = 1_048_576;

interface PublishOptions extends SiteOptions {
  site: string;
  env?: string[];
}

const HELP = `
DIR is a publisher's directory (a dev site has one in publisher/); BUNDLE is a file from "policy build" or a policy
directory. Raise metadata.version for every change: a version is published once.

Example:
  holdfast repo publish .holdfast/publisher .holdfast/publisher/policy --site outpost-7.example
  holdfast import .holdfast/publisher/repository`;

/** `holdfast repo`: the publisher's side, where bundles are signed for sites. */
export function repoCommand(): Command {
  const publish = new Command('publish')
    .description('Sign a bundle into a repository for environments of one site.')
    .argument('<dir>', "publisher's directory")
    .argument('<bundle>', 'bundle file or policy directory')
    .requiredOption('--site <origin>', 'the site it is for')
    .option('--env <name...>', 'environments that shall run it (default: all that the bundle knows)')
    .addHelpText('after', HELP)
    .action((dir: string, bundle: string, options: PublishOptions) =>
      runPublish(resolve(dir), resolve(bundle), options),
    );
  return new Command('repo')
    .description("The publisher's side: sign policy bundles for sites.")
    .addCommand(publish);
}

function runPublish(dir: string, bundlePath: string, options: PublishOptions): void {
  const site = siteOrigin(options.site);
  const { bundle, bytes } = readBundle(bundlePath);
  const environments = options.env ?? Object.keys(bundle.environments);
  assertMeantFor(bundle, site, environments);
  const { name, version } = bundle.metadata;
  const published = publishFrom(dir, {
    bundle: { name, version, bytes },
    site,
    environments,
    now: Date.now(),
  });
  const report = {
    repository: repositoryDir(dir),
    site,
    environments,
    bundle: { name, version, digest: published.digest },
    serial: published.serial,
    versions: published.versions,
  };
  if (options.json) printJson(report);
  else
    print(
      `${paint('bold', 'PUBLISHED')}  ${name}@${version} for ${site}\n${rows([
        ['environments', environments.join(', ')],
        ['digest', published.digest],
        ['serial', String(published.serial)],
      ])}\n\nNext:\n  holdfast import ${report.repository}`,
    );
}

function readBundle(path: string): { bundle: Bundle; bytes: Uint8Array } {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return readPolicyDirectory(path);
  const bytes = readBounded(path, BUNDLE_MAX_BYTES);
  return { bundle: parseBundle(bytes).bundle, bytes };
}

/** What the site would refuse is not signed in the first place. */
function assertMeantFor(bundle: Bundle, site: string, environments: readonly string[]): void {
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
