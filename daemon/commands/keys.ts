import { Command } from 'commander';
import { ApiProblem, ApiUnreachable, type LedgerKeysReply, type SuspendedKey } from '../api/client.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { rotateCommand } from './keys/rotate.ts';
import { renderSuspended, suspendCommand } from './keys/suspend.ts';
import { tlsCommand } from './keys/tls.ts';
import { wrapCommand } from './keys/wrap.ts';
import { envelopeKey, type KnownKey, knownKeys, ledgerRotation } from './known-keys.ts';
import { print, printJson } from './render/output.ts';
import { plain, table } from './render/text.ts';

/** `holdfast keys …`: the keys and certificates of a site. */
export function keysCommand(): Command {
  return new Command('keys')
    .description('Keys and certificates of this site.')
    .addCommand(listCommand())
    .addCommand(rotateCommand())
    .addCommand(suspendCommand())
    .addCommand(wrapCommand())
    .addCommand(tlsCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('What the site has of keys, their public sides, and the certificates that it gave out.')
    .action(async (options: SiteOptions) => {
      const site = openSite(options);
      const { keys, hidden } = knownKeys(site.paths);
      const { suspended, ledger } = await toldByDaemon(site);
      for (const key of keys) {
        if (key.public_side === ledger?.vkey) key.made_at = ledger.since;
        if (key.signs?.until === null) key.rotated = ledgerRotation(site.config.keys);
      }
      keys.push(envelopeKey(ledger?.envelope ?? null, site.config.secrets));
      if (options.json) for (const key of [...keys, ...(suspended ?? [])]) printJson(key);
      else {
        print(renderKeys(keys));
        if (suspended !== null && suspended.length > 0) print(`\n${renderSuspended(suspended)}`);
      }
      if (suspended === null)
        process.stderr.write('What is suspended here is not known: the daemon does not answer.\n');
      if (hidden)
        process.stderr.write(
          'The certificates that were given out are listed to the account of the site only.\n',
        );
    });
}

interface Told {
  suspended: SuspendedKey[] | null;
  ledger: LedgerKeysReply | null;
}

/** What only the ledger knows; null where the daemon does not answer: the keys can be listed without it. */
async function toldByDaemon(site: Site): Promise<Told> {
  const client = connect(site, 'operator');
  try {
    const { suspended } = await client.suspendedKeys();
    return { suspended, ledger: await client.ledgerKeys() };
  } catch (error) {
    if (error instanceof ApiProblem || error instanceof ApiUnreachable)
      return { suspended: null, ledger: null };
    throw error;
  } finally {
    client.close();
  }
}

function renderKeys(keys: readonly KnownKey[]): string {
  return table(
    ['what for', 'state', 'made', 'signs', 'changed', 'public side'],
    keys.map(({ purpose, state, made_at, signs, rotated, public_side }) => [
      plain(purpose),
      state,
      made_at?.slice(0, 10) ?? '-',
      signs === null ? '-' : `${signs.from + 1}…${signs.until ?? ''}`,
      plain(rotated ?? '-'),
      plain(public_side),
    ]),
  );
}
