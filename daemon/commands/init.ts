import { Command, Option } from 'commander';
import { siteDir } from '../host/config.ts';
import type { Profile } from '../host/site.ts';
import type { SiteOptions } from './access.ts';
import { type InitReport, initSite } from './init/site.ts';
import { print, printJson } from './render/output.ts';
import { paint, rows } from './render/text.ts';

export { type InitOptions, type InitReport, initSite } from './init/site.ts';

interface InitCommandOptions extends SiteOptions {
  site: string;
  profile: Profile;
  root?: string;
  policy?: string;
}

const HELP = `
Profiles:
  dev        makes a local publisher with one key per role and five people's keys, and imports the starter policy.
             For trying out and developing; a dev site can never become another one.
  node       takes policy from headquarters only: needs the root file that headquarters hands out.
  appliance  the same, for the hardened installation.

Examples:
  holdfast init --site outpost-7.example --profile dev
  holdfast init --site outpost-7.example --profile node --root /media/hq/root.json --dir /var/lib/holdfast`;

/** `holdfast init`: creates a site directory. Never overwrites one. */
export function initCommand(): Command {
  return new Command('init')
    .description('Create a site: keys, pinned policy root, configuration, ledger with its first entry.')
    .requiredOption('--site <origin>', 'name of the site, a schema-less URL such as outpost-7.example')
    .addOption(
      new Option('--profile <profile>', 'what the site is for')
        .choices(['dev', 'node', 'appliance'])
        .default('node'),
    )
    .option('--root <file>', 'policy root to pin (root.json from headquarters)')
    .option('--policy <dir>', 'dev: policy directory to start from instead of the starter')
    .addHelpText('after', HELP)
    .action(async (options: InitCommandOptions) => {
      const dir = siteDir(options.dir, process.env);
      const report = await initSite({
        dir,
        site: options.site,
        profile: options.profile,
        rootFile: options.root,
        policyDir: options.policy,
      });
      if (options.json) printJson(report);
      else print(renderReport(report));
    });
}

function renderReport(report: InitReport): string {
  const { publisher } = report;
  const made = rows([
    ['site', `${report.site} (profile ${report.profile})`],
    ['directory', report.dir],
    ['ledger key', report.vkey],
    ['policy root', `SHA-256 ${report.root_digest}`],
    [
      'policy',
      publisher === null
        ? 'none yet: everything is denied until one is imported'
        : policyLine(publisher.policy),
    ],
    ['publisher', publisher === null ? '' : `${publisher.dir} (1-of-1, dev only)`],
    [
      'people',
      publisher === null ? '' : `${publisher.people.join(', ')}; their keys are in ${publisher.dir}/people`,
    ],
  ]);
  const next =
    publisher === null
      ? [`holdfast import PATH --dir ${report.dir}`, `holdfast daemon --dir ${report.dir}`]
      : [`holdfast daemon --dir ${report.dir}`, `holdfast gateway --dir ${report.dir}`];
  return `${paint('bold', 'A site was made.')}\n${made}\n\nNext:\n${next.map((line) => `  ${line}`).join('\n')}`;
}

function policyLine(policy: NonNullable<InitReport['publisher']>['policy']): string {
  if (!policy.applied) return 'none';
  return Object.entries(policy.environments)
    .map(([environment, { name, version }]) => `${environment} runs ${name}@${version}`)
    .join(', ');
}
