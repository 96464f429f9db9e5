import { Command } from 'commander';
import type { SiteOptions } from './access.ts';
import { openSite } from './access.ts';
import { tlsCommand } from './keys-tls.ts';
import { type KnownKey, knownKeys } from './known-keys.ts';
import { print, printJson } from './render/output.ts';
import { plain, table } from './render/text.ts';

/** `holdfast keys …`: the keys and certificates of a site. */
export function keysCommand(): Command {
  return new Command('keys')
    .description('Keys and certificates of this site.')
    .addCommand(listCommand())
    .addCommand(tlsCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('The public side of every key that the site has, and the certificates that it gave out.')
    .action((options: SiteOptions) => {
      const { keys, hidden } = knownKeys(openSite(options).paths);
      if (options.json) for (const key of keys) printJson(key);
      else print(renderKeys(keys));
      if (hidden)
        process.stderr.write(
          'The certificates that were given out are listed to the account of the site only.\n',
        );
    });
}

function renderKeys(keys: readonly KnownKey[]): string {
  return table(
    ['what for', 'state', 'made', 'public side'],
    keys.map(({ purpose, state, made_at, public_side }) => [
      plain(purpose),
      state,
      made_at?.slice(0, 10) ?? '-',
      plain(public_side),
    ]),
  );
}
