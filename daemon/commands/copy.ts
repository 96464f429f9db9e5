import { resolve } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { currentLog } from '../formats/log-keys.ts';
import { errorCode } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import { writeFailure } from '../host/write-failure.ts';
import { createCopy } from '../ledger/copy-mark.ts';
import { openSite, type SiteOptions } from './access.ts';
import { EXIT } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { withVerdicts } from './verdict.ts';

const HELP = `
The directory belongs on another disk: one that may fail alone, or be taken along. Run this as the account of the daemon.
Then name it in holdfast.json and start the daemon again:

  "copy": {"path": "/mnt/second/holdfast"}

The copy is a C2SP tile directory. Check it anywhere with: holdfast ledger verify --tiles DIR --trust site-trust.json`;

/** `holdfast copy …`: the second copy of the ledger. */
export function copyCommand(): Command {
  return new Command('copy').description('The second copy of the ledger, on another disk.').addCommand(
    new Command('new')
      .description('Begin a second copy in an empty directory; the daemon then keeps it.')
      .argument('<dir>', 'empty directory, or a new one')
      .addHelpText('after', HELP)
      .action((dir: string, options: SiteOptions) =>
        withVerdicts({ 'copy.not_written': EXIT.unavailable }, options, () =>
          beginCopy(resolve(dir), options),
        ),
      ),
  );
}

function beginCopy(directory: string, options: SiteOptions): void {
  const site = openSite(options);
  const { origin } = currentLog(readLineage(site.paths.trust));
  try {
    createCopy(directory, origin);
  } catch (cause) {
    const code = errorCode(cause);
    if (cause instanceof BoundaryError || code === null) throw cause;
    const { isDisk, why, next } = writeFailure(cause);
    if (isDisk)
      throw new BoundaryError(
        'copy.not_written',
        `Nothing can be made in ${directory}: ${why}; no copy was begun. ${next}, or name a directory on another disk.`,
        { at: directory, cause },
      );
    throw new BoundaryError(
      'copy.not_writable',
      `Nothing can be made in ${directory} (${code}); no copy was begun. Check that its disk is mounted, and its owner.`,
      { at: directory, cause },
    );
  }
  const isNamed = site.config.copy?.path === directory;
  if (options.json) {
    printJson({ directory, origin, configured: isNamed });
    return;
  }
  print(`Began a second copy of ${origin} in ${directory}.`);
  print(
    isNamed
      ? 'A running daemon fills it within a few seconds; see: holdfast status'
      : `Name it in ${site.paths.config}: "copy": {"path": ${JSON.stringify(directory)}}, and start the daemon again.`,
  );
}
