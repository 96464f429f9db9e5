import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command, Option } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { siteDir } from '../host/config.ts';
import type { Profile } from '../host/site.ts';
import type { SiteOptions } from './access.ts';
import { assertOutlets, carry, type Outlets, sayWritten } from './carry.ts';
import { EXIT } from './exit.ts';
import { type InitReport, initSite } from './init/site.ts';
import type { OpenedProvisioning } from './provision/read.ts';
import { leftoverWords } from './render/leftovers.ts';
import { print, printJson, say } from './render/output.ts';
import { moment, paint, plain, rows } from './render/text.ts';
import { firstStart } from './start-words.ts';
import { fingerprintWords } from './trust.ts';
import { withVerdicts } from './verdict.ts';

export { type InitOptions, type InitReport, initSite } from './init/site.ts';

interface InitCommandOptions extends SiteOptions {
  site?: string;
  profile: Profile;
  from?: string;
  fingerprint?: string;
  yes?: boolean;
  png?: string;
  qr?: boolean;
  root?: string;
  policy?: string;
}

const HELP = `
Profiles:
  dev        makes a local publisher with one key per role and five people's keys, and imports the starter policy.
             For trying out and developing; a dev site can never become another one.
  node       takes policy from headquarters only: needs the root file that headquarters hands out.
  appliance  the same, for the hardened installation: what protects it cannot be switched off.

With --from the site is made from the folder that headquarters handed out ("site provision"): name, profile, settings, policy root
and first policy come from it. Compare the fingerprint with headquarters before: it is all that you have to believe. What the
site needs to be known there lies in outbox/enrolment.proof afterwards; --png and --qr show it as QR codes.

Examples:
  holdfast init --site outpost-7.example --profile dev
  holdfast init --site outpost-7.example --profile node --root /media/hq/root.json --dir /var/lib/holdfast
  holdfast init --from /media/stick/outpost-7 --dir /var/lib/holdfast`;

/** `holdfast init`: creates a site directory. Never overwrites one. */
export function initCommand(): Command {
  return new Command('init')
    .description('Create a site: keys, pinned policy root, configuration, ledger with its first entry.')
    .option('--site <origin>', 'name of the site, a schema-less URL such as outpost-7.example')
    .addOption(
      new Option('--profile <profile>', 'what the site is for')
        .choices(['dev', 'node', 'appliance'])
        .default('node'),
    )
    .option('--root <file>', 'policy root to pin (root.json from headquarters)')
    .option('--policy <dir>', 'dev: policy directory to start from instead of the starter')
    .option('--from <dir>', 'provisioning folder from headquarters, in place of --site, --profile and --root')
    .option('--fingerprint <hex>', 'its fingerprint as headquarters told you, instead of being asked')
    .option('--png <file>', 'with --from: the enrolment as QR codes, one picture each')
    .option('--qr', 'with --from: show the enrolment as QR codes')
    .addHelpText('after', HELP)
    .action((options: InitCommandOptions, command: Command) =>
      withVerdicts({ 'init.not_written': EXIT.unavailable }, options, () => init(options, command)),
    );
}

async function init(options: InitCommandOptions, command: Command): Promise<void> {
  const { from, site } = options;
  if (from !== undefined) await initFrom(from, options, command);
  else if (site !== undefined) await initNew(site, options);
  else
    throw new BoundaryError(
      'init.no_site',
      'Name the site with --site ORIGIN, or the folder from headquarters with --from DIR; nothing was made.',
    );
}

async function initNew(site: string, options: InitCommandOptions): Promise<void> {
  const report = await initSite({
    dir: siteDir(options.dir, process.env),
    site,
    profile: options.profile,
    rootFile: options.root,
    policyDir: options.policy,
  });
  if (options.json) printJson(report);
  else print(renderReport(report));
}

/** Nothing of the folder is believed before its fingerprint was compared. */
async function initFrom(from: string, options: InitCommandOptions, command: Command): Promise<void> {
  const stray = ['site', 'profile', 'root', 'policy'].find(
    (name) => command.getOptionValueSource(name) === 'cli',
  );
  if (stray !== undefined)
    throw new BoundaryError(
      'init.from_and_more',
      `With --from everything comes from the folder: leave --${stray} out. No site was made.`,
    );
  const pictures: Outlets = {
    ...(options.png === undefined ? {} : { png: options.png }),
    ...(options.qr === undefined ? {} : { qr: options.qr }),
  };
  assertOutlets(pictures);
  const { openFolder } = await import('./provision/read.ts');
  const provisioned = openFolder(resolve(from));
  await compareFingerprint(provisioned, options.fingerprint);
  const { site, profile } = provisioned.list;
  const report = await initSite({ dir: siteDir(options.dir, process.env), site, profile, provisioned });
  const files = await carry('E', report.provisioned?.enrolment.text ?? '', pictures);
  if (options.json) printJson({ ...report, files });
  else {
    print(renderReport(report));
    sayWritten(files);
  }
}

async function compareFingerprint(
  { list, digest, signers }: OpenedProvisioning,
  told: string | undefined,
): Promise<void> {
  if (told !== undefined) {
    if (told.replace(/\s+/g, '').toLowerCase() === digest) return;
    throw new BoundaryError(
      'provision.other_fingerprint',
      `The folder has the fingerprint ${fingerprintWords(digest)}, not the one that you were told. No site was made. Do not use this folder; ask headquarters who made it.`,
      { at: '--fingerprint' },
    );
  }
  say(
    `${paint('bold', 'A provisioning folder:')}\n${rows([
      ['site', `${plain(list.site)} (profile ${list.profile})`],
      ['made at', moment(list.issued_at)],
      ['signed by', plain(signers.join(', '))],
      ['fingerprint', fingerprintWords(digest)],
    ])}`,
  );
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new BoundaryError(
      'provision.unseen',
      'There is no terminal to ask at, so no site was made. Compare the fingerprint with headquarters, over a way that you trust, then repeat with --fingerprint and what they told you.',
    );
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt
    .question('Is this the fingerprint that headquarters told you? Make the site? [y/N] ')
    .finally(() => prompt.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new BoundaryError('init.declined', 'No site was made.');
}

function renderReport(report: InitReport): string {
  const { publisher, provisioned } = report;
  const policy = publisher?.policy ?? provisioned?.policy ?? null;
  const made = rows([
    ['site', `${report.site} (profile ${report.profile})`],
    ['directory', report.dir],
    ['ledger key', report.vkey],
    ['policy root', `SHA-256 ${report.root_digest}`],
    ['policy', policy === null ? 'none yet: everything is denied until one is imported' : policyLine(policy)],
    ['fingerprint', provisioned?.enrolment.fingerprint ?? ''],
    ['publisher', publisher === null ? '' : `${publisher.dir} (1-of-1, dev only)`],
    [
      'people',
      publisher === null ? '' : `${publisher.people.join(', ')}; their keys are in ${publisher.dir}/people`,
    ],
  ]);
  const next =
    provisioned !== null
      ? [
          `bring ${report.dir}/outbox/enrolment.proof to headquarters, and read them the fingerprint`,
          ...firstStart(['daemon'], report.dir),
        ]
      : publisher === null
        ? [`holdfast import PATH --dir ${report.dir}`, ...firstStart(['daemon'], report.dir)]
        : firstStart(['daemon', 'gateway'], report.dir);
  const notes = leftoverWords(report).map((line) => `\n${line}`);
  return `${paint('bold', 'A site was made.')}\n${made}${notes.join('')}\n\nNext:\n${next.map((line) => `  ${line}`).join('\n')}`;
}

function policyLine(policy: NonNullable<InitReport['provisioned']>['policy']): string {
  if (!policy.applied) return 'none';
  return Object.entries(policy.environments)
    .map(([environment, { name, version }]) => `${environment} runs ${name}@${version}`)
    .join(', ');
}
