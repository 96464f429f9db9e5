import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { findKek, KEK_CREDENTIAL, readKekFile } from '../../host/kek.ts';
import { wrapKeyFiles } from '../../host/key-files.ts';
import type { SitePaths } from '../../host/site.ts';
import { lockWriter } from '../../ledger/writer-lock.ts';
import { openSite, type SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';

const HELP = `
The key-encryption key is the credential "${KEK_CREDENTIAL}" of this process, or the file that /secrets/kek_file in holdfast.json
names: 32 random bytes, as they are or in base64. Keep a copy of it where the site is not: without it the site signs nothing
and opens nothing. Stop the daemon first. Run again after a crash; what is done stays done.

Examples:
  head -c 32 /dev/urandom > /root/holdfast.kek && chmod 600 /root/holdfast.kek
  holdfast keys wrap                             with "secrets": {"kek_file": "/root/holdfast.kek"} in holdfast.json
  systemd-run --pipe -p LoadCredentialEncrypted=${KEK_CREDENTIAL} holdfast keys wrap --dir /var/lib/holdfast
  holdfast keys wrap --from /root/old.kek        put everything under a new one`;

/** `holdfast keys wrap`: puts the site's key files under its key-encryption key. */
export function wrapCommand(): Command {
  return new Command('wrap')
    .description('Put the key files of this site under its key-encryption key. The daemon must be stopped.')
    .option('--from <file>', 'the key-encryption key that they lie under so far')
    .addHelpText('after', HELP)
    .action((options: SiteOptions & { from?: string }) => {
      const { paths, config } = openSite(options);
      const kek = findKek(config.secrets);
      if (kek === null) throw noKek();
      const before = options.from === undefined ? null : readKekFile(options.from);
      const lock = lockWriter(paths.ledger);
      try {
        const wrapped = keyDirectories(paths).flatMap((directory) =>
          wrapKeyFiles(directory, kek, before).map((name) => relative(paths.root, join(directory, name))),
        );
        if (options.json) printJson({ kek: kek.id, source: kek.source, wrapped });
        else print(render(kek, wrapped));
      } finally {
        lock.release();
      }
    });
}

/** The site's own keys, and those of the envelopes of its former logs. */
function keyDirectories({ keys, state }: SitePaths): string[] {
  const former = join(state, 'former');
  const logs = existsSync(former) ? readdirSync(former).map((name) => join(former, name, 'keys')) : [];
  return [keys, ...logs.filter((directory) => existsSync(directory))];
}

function render(kek: { id: string; source: string }, wrapped: readonly string[]): string {
  return `${paint('green', paint('bold', 'WRAPPED'))}  The keys of this site lie under a key-encryption key.\n${rows(
    [
      ['under', `${kek.id} (${plain(kek.source)})`],
      ['changed', wrapped.length === 0 ? 'nothing: they were already' : wrapped.map(plain).join(', ')],
    ],
  )}\nDestroy older copies of state/keys, backups included: the keys lie open in them, or under another key.`;
}

function noKek(): BoundaryError {
  return new BoundaryError(
    'kek.none',
    `There is no key-encryption key here; nothing was changed. Give this process the credential ${KEK_CREDENTIAL}, or name a file by /secrets/kek_file in holdfast.json.`,
  );
}
