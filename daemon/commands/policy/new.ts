import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { siteOrigin } from '../../host/config.ts';
import { readPolicyDirectory } from '../../policy/source.ts';
import { adoptPolicy, copyPolicy, editYaml, STARTER_POLICY } from '../init/starter.ts';
import { print, printJson, say } from '../render/output.ts';
import { paint, plain } from '../render/text.ts';
import { orReport, renderPolicy, summary } from './subject.ts';

const HELP = `
The starter has action classes, gates, risk factors, authority routes and table tests of a remote site, with comments on
each. Its people are placeholders: put your own and their SSH public keys into principals.yaml.

Example:
  holdfast policy new policies/outpost-7 --site outpost-7.example
  holdfast policy lint policies/outpost-7 && holdfast policy test policies/outpost-7`;

/** What a bundle may be called. */
const NAME = /^[a-z][a-z0-9_.-]{0,63}$/;

interface NewOptions {
  site: string[];
  name?: string;
  json?: boolean;
}

/** `holdfast policy new DIR`: a starter policy to edit. */
export function policyNewCommand(): Command {
  return new Command('new')
    .description('Write a starter policy, a directory of YAML files with comments and tests, to edit.')
    .argument('<dir>', 'where; must not exist or be empty')
    .requiredOption('--site <origin...>', 'origin of the site that may run it, e.g. outpost-7.example')
    .option('--name <name>', 'name of the policy (default: that of the starter)')
    .addHelpText('after', HELP)
    .action((dir: string, options: NewOptions) => {
      if (existsSync(dir) && readdirSync(dir).length > 0) {
        throw new BoundaryError('policy.exists', 'The directory is not empty; nothing was written.', {
          at: dir,
        });
      }
      for (const site of options.site) assertSite(site);
      if (options.name !== undefined) assertName(options.name);
      copyPolicy(STARTER_POLICY, dir);
      adoptPolicy(dir, { sites: options.site, issuedAt: `${new Date().toISOString().slice(0, 19)}Z` });
      const { name } = options;
      if (name !== undefined) editYaml(join(dir, 'metadata.yaml'), (document) => document.set('name', name));
      const source = orReport(dir, options, () => readPolicyDirectory(dir));
      if (source === null) {
        say(`It lies in ${plain(dir)} all the same: correct it there, or remove the directory.`);
        return;
      }
      if (options.json) printJson({ ok: true, ...summary(source), dir });
      else {
        const next = `Edit it, then: holdfast policy lint ${plain(dir)} && holdfast policy test ${plain(dir)}`;
        print(`${paint('green', 'WRITTEN')}  ${plain(dir)}\n${renderPolicy(source)}\n${next}`);
      }
    });
}

/** Before anything is written: what no site is called must not be left behind in a policy. */
function assertSite(site: string): void {
  try {
    siteOrigin(site);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(cause.code, `--site: ${cause.message} Nothing was written.`, {
      at: '--site',
      cause,
    });
  }
}

function assertName(name: string): void {
  if (NAME.test(name)) return;
  throw new BoundaryError(
    'policy.bad_name',
    'Write --name as up to 64 lower-case letters, digits, _, - and dots, beginning with a letter. Nothing was written.',
    { at: '--name' },
  );
}
