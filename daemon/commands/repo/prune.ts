import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import {
  type Leftovers,
  leftoversOf,
  proposePrune,
  pruneAtOnce,
  removeFiles,
} from '../../../sync/repository/prune.ts';
import { isByCeremony } from '../../../sync/repository/settings.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { SiteOptions } from '../access.ts';
import { print, printJson, say } from '../render/output.ts';
import { count, plain } from '../render/text.ts';
import { showStaged } from './staged.ts';

interface PruneOptions extends SiteOptions {
  dryRun?: boolean;
  yes?: boolean;
}

/** Names shown to people; --json has all. */
const SHOWN = 20;

const HELP = `
Sites refuse a list of more than 3,000 things. A bundle goes off the list when no site has it any more, neither in force nor in
shadow, neither published nor staged; that is a change for the targets keys, signed like any other. What it said stays in
dropped.json: its version is not published again with other contents.
Files go from the disk when nothing that is published names them, for a day at least: the old lists, and what they named. Every
root stays, and so does all that a site needs which was away for years.

Examples:
  holdfast repo prune hq --dry-run        what would go
  holdfast repo prune hq                  asks, then stages the shorter list: repo sign, repo finish
  holdfast repo prune hq                  a day after that: the files`;

/** `repo prune`: drops what no site needs. */
export function pruneCommand(): Command {
  return new Command('prune')
    .description('Take bundles that no site has any more off the list, and remove what nothing names.')
    .argument('<dir>', "publisher's directory")
    .option('--dry-run', 'only say what would go')
    .option('--yes', 'do it without asking')
    .addHelpText('after', HELP)
    .action((dir: string, options: PruneOptions) => runPrune(resolve(dir), options));
}

/** Find → say → ask → remove files, which needs nobody → stage the shorter list, which needs signatures. */
async function runPrune(dir: string, options: PruneOptions): Promise<void> {
  const left = leftoversOf(dir, Date.now());
  const bundles = left.bundles.map(({ name }) => name);
  const files = left.files.map(({ name }) => name);
  if (options.dryRun === true || bundles.length + files.length === 0) {
    if (options.json) printJson({ dry_run: options.dryRun === true, ...left });
    else print(words(left));
    return;
  }
  if (options.json !== true) say(words(left));
  await confirm(options);
  removeFiles(dir, files);
  if (bundles.length > 0 && !isByCeremony(dir)) pruneAtOnce(dir, bundles, Date.now());
  if (bundles.length > 0 && isByCeremony(dir)) {
    proposePrune(dir, bundles, Date.now());
    if (options.json !== true && files.length > 0) print(`Removed ${count(files.length, 'file')}.`);
    showStaged(dir, options, { dry_run: false, ...left });
    return;
  }
  if (options.json) printJson({ dry_run: false, ...left });
  else
    print(
      `Removed ${count(files.length, 'file')}${bundles.length === 0 ? '' : `, and took ${count(bundles.length, 'bundle')} off the list`}.`,
    );
}

function words({ bundles, files }: Leftovers): string {
  if (bundles.length + files.length === 0)
    return 'Nothing to drop: some site has every bundle on the list, and every file is named, or was until a day ago.';
  const part = (title: string, items: readonly { name: string; bytes: number }[]): string[] => {
    if (items.length === 0) return [];
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
    const more = items.length > SHOWN ? [`  … and ${items.length - SHOWN} more`] : [];
    return [
      `${title} (${items.length}, ${bytes.toLocaleString('en-US')} bytes):`,
      ...items.slice(0, SHOWN).map(({ name }) => `  ${plain(name)}`),
      ...more,
    ];
  };
  return [
    ...part('Bundles on the list that no site has', bundles),
    ...part('Files that nothing published names', files),
  ].join('\n');
}

async function confirm({ yes }: PruneOptions): Promise<void> {
  if (yes === true) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new BoundaryError(
      'prune.unconfirmed',
      'There is no terminal to ask at, so nothing was dropped. Look at it with --dry-run, then repeat with --yes.',
    );
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question('Drop all of this? [y/N] ').finally(() => prompt.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new BoundaryError('prune.declined', 'Nothing was dropped.');
}
