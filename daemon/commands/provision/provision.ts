import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { repositoryDir } from '../../../sync/repository/publisher.ts';
import { PROVISIONING_FILE, type Provisioning } from '../../formats/provisioning.ts';
import { siteOrigin } from '../../host/config.ts';
import { readBounded } from '../../host/durable-file.ts';
import type { SiteOptions } from '../access.ts';
import type { PassphraseOptions } from '../passphrase.ts';
import { print, printJson } from '../render/output.ts';
import { moment, paint, plain, rows } from '../render/text.ts';
import { confirm, signerFor } from '../repo/sign-trust.ts';
import { fingerprintWords } from '../trust.ts';
import { type FolderSignatures, makeFolder, readFolderList, signFolder } from './make.ts';
import { rememberProvisioning } from './records.ts';

interface ProvisionCommandOptions extends SiteOptions, PassphraseOptions {
  site: string;
  repo: string;
  profile: Provisioning['profile'];
  config?: string;
  key: string;
  out: string;
}

const HELP = `
At headquarters. The folder holds public files only: the policy root, this site's part of the repository, its settings, and
the signed list of them. Publish the site's first policy before. As many targets keys must sign the list as for a bundle.
The machine makes its own keys: holdfast init --from FOLDER. Tell its people the fingerprint over a way that you trust.

Example:
  holdfast repo publish hq first.json --site outpost-7.example     (then: repo sign, repo finish)
  holdfast site provision --site outpost-7.example --repo hq --key alice.key -o stick/outpost-7
  holdfast repo sign-provision stick/outpost-7 --repo hq --key bob.key`;

/** `site provision`: a folder that a bare machine becomes a site by. */
export function provisionCommand(): Command {
  return new Command('provision')
    .description('At headquarters: make the folder that a machine becomes this site by.')
    .requiredOption('--site <origin>', 'name of the site')
    .requiredOption('--repo <dir>', "publisher's directory")
    .addOption(
      new Option('--profile <profile>', 'what the site is for')
        .choices(['node', 'appliance'])
        .default('appliance'),
    )
    .option('--config <file>', 'settings for it (holdfast.json); default: those that init writes')
    .requiredOption('--key <file>', 'your targets key: the first signature')
    .requiredOption('-o, --out <dir>', 'where the folder goes')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of asking")
    .addHelpText('after', HELP)
    .action(runProvision);
}

async function runProvision(options: ProvisionCommandOptions): Promise<void> {
  const publisher = resolve(options.repo);
  const out = resolve(options.out);
  const signer = await signerFor(options);
  const { list, payload, expires_at } = await makeFolder({
    site: siteOrigin(options.site),
    profile: options.profile,
    repository: repositoryDir(publisher),
    configFile: options.config === undefined ? null : resolve(options.config),
    out,
    now: Date.now(),
  });
  const signatures = signFolder(out, payload, signer);
  rememberProvisioning(publisher, list.site, readBounded(join(out, PROVISIONING_FILE), 524_288));
  const { digest } = readFolderList(out);
  if (options.json) {
    printJson({ folder: out, list, fingerprint: digest, expires_at, ...signatures });
    return;
  }
  const made = rows([
    ['folder', plain(out)],
    ['site', `${plain(list.site)} (profile ${list.profile})`],
    ['policy', policyWords(list)],
    ['use until', `${moment(expires_at)}: then its policy has expired`],
    ['fingerprint', fingerprintWords(digest)],
  ]);
  print(
    `${paint('green', paint('bold', 'PROVISIONED'))}\n${made}\n${signatureWords(signatures, out)}\nOn the machine: holdfast init --from FOLDER, and compare the fingerprint.`,
  );
}

interface SignProvisionOptions extends SiteOptions, PassphraseOptions {
  repo: string;
  key?: string;
  yes?: boolean;
}

/** `repo sign-provision`: one more signature under a provisioning folder. */
export function signProvisionCommand(): Command {
  return new Command('sign-provision')
    .description('Sign the list of a provisioning folder with another targets key.')
    .argument('<folder>', 'what `site provision` made')
    .requiredOption('--repo <dir>', "publisher's directory")
    .option('--key <file>', 'your targets key')
    .option('--passphrase-fd <n>', 'read its passphrase from this file descriptor instead of asking')
    .option('--yes', 'sign without asking again')
    .action(async (folder: string, options: SignProvisionOptions) => {
      const path = resolve(folder);
      const { list, digest } = readFolderList(path);
      const signer = await signerFor(options);
      const shown = rows([
        ['site', `${plain(list.site)} (profile ${list.profile})`],
        ['policy', policyWords(list)],
        ['made at', moment(list.issued_at)],
        ['fingerprint', fingerprintWords(digest)],
      ]);
      if (options.json !== true)
        print(`You sign as ${plain(signer.name)} that a machine becomes this site by:\n${shown}`);
      await confirm(options, 'Is this what was to be handed out? Sign? [y/N] ');
      const signatures = signFolder(path, null, signer);
      if (options.json) printJson({ folder: path, fingerprint: digest, ...signatures });
      else print(signatureWords(signatures, path));
    });
}

function policyWords({ policy }: Provisioning): string {
  const lines = Object.entries(policy).map(([environment, bundle]) => `${environment} runs ${bundle}`);
  return plain(lines.join(', '));
}

function signatureWords({ signed, threshold, open }: FolderSignatures, folder: string): string {
  const missing = threshold - signed.length;
  const done = `${paint('green', 'SIGNED')}  ${signed.length} of ${threshold} (${plain(signed.join(', '))})`;
  if (missing <= 0) return `${done}: the folder can be used.`;
  return `${done}: ${missing} more must sign before it can be used (${plain(open.join(', '))}):\n  holdfast repo sign-provision ${plain(folder)} --repo DIR --key KEY`;
}
