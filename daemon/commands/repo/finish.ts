import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Metadata, Targets } from '@tufjs/models';
import { Command } from 'commander';
import { composePublication, type Publication, writePublication } from '../../../sync/repository/finish.ts';
import { openKeyFile } from '../../../sync/repository/key-file.ts';
import { repositoryDir } from '../../../sync/repository/publisher.ts';
import { refresh } from '../../../sync/repository/refresh.ts';
import { assertPublisher } from '../../../sync/repository/report.ts';
import { stagingDir } from '../../../sync/repository/settings.ts';
import { discardStaging, readStaging } from '../../../sync/repository/staging.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { NoteSigner } from '../../formats/signed-note.ts';
import { readBounded } from '../../host/durable-file.ts';
import { verifyUpdate } from '../../policy/verify-update.ts';
import type { SiteOptions } from '../access.ts';
import { type PassphraseOptions, passphrases } from '../passphrase.ts';
import { print, printJson } from '../render/output.ts';
import { instant, paint, rows } from '../render/text.ts';

interface OnlineOptions extends SiteOptions, PassphraseOptions {
  key?: string[];
}

const FILE_MAX_BYTES = 4_000_000;

/** `repo finish`: publishes what enough people have signed. */
export function finishCommand(): Command {
  return online(new Command('finish'))
    .description('Publish what enough people have signed; sign snapshot and timestamp with the online key.')
    .action(async (dir: string, options: OnlineOptions) => {
      const publisher = resolve(dir);
      const sites = stagedSites(publisher);
      const signers = await onlineSigners(publisher, options);
      const publication = composePublication(publisher, { signers, now: Date.now() });
      await rehearse(publisher, publication, sites);
      writePublication(publisher, publication);
      const { versions } = publication;
      const repository = repositoryDir(publisher);
      if (options.json) printJson({ repository, sites, versions });
      else
        print(
          `${paint('bold', 'PUBLISHED')}\n${rows([
            ...Object.entries(versions).map(([role, version]) => [role, `version ${version}`] as const),
            ['sites', sites.join(', ')],
          ])}\n\nNext:\n  copy ${repository} to a stick or mirror; at the site: holdfast import PATH`,
        );
    });
}

/** `repo refresh`: the online key says again that this is the newest there is. */
export function refreshCommand(): Command {
  return online(new Command('refresh'))
    .description(
      'Sign timestamp (and, when it is due, snapshot) again with the online key; nothing else changes.',
    )
    .action(async (dir: string, options: OnlineOptions) => {
      const publisher = resolve(dir);
      const signers = await onlineSigners(publisher, options);
      const refreshed = refresh(publisher, { signers, now: Date.now() });
      if (options.json) printJson({ repository: repositoryDir(publisher), ...refreshed });
      else
        print(
          `${paint('bold', 'REFRESHED')}\n${rows([
            [
              'timestamp',
              `version ${refreshed.versions.timestamp}, valid until ${instant(refreshed.expires.timestamp)}`,
            ],
            [
              'snapshot',
              `version ${refreshed.versions.snapshot}, valid until ${instant(refreshed.expires.snapshot)}`,
            ],
          ])}`,
        );
    });
}

/** `repo discard`: drops what is staged, signatures and all. */
export function discardCommand(): Command {
  return new Command('discard')
    .description('Drop what is staged, with its signatures. What is published stays.')
    .argument('<dir>', "publisher's directory")
    .action((dir: string, options: SiteOptions) => {
      assertPublisher(resolve(dir));
      const staging = stagingDir(resolve(dir));
      const discarded = existsSync(staging);
      discardStaging(staging);
      if (options.json) printJson({ discarded });
      else print(discarded ? 'What was staged is gone; what is published stays.' : 'Nothing was staged.');
    });
}

function online(command: Command): Command {
  return command
    .argument('<dir>', "publisher's directory")
    .option('--key <file...>', "the online key (default: keys/online.key in the publisher's directory)")
    .option('--passphrase-fd <n>', 'read its passphrase from this file descriptor instead of asking');
}

async function onlineSigners(dir: string, options: OnlineOptions): Promise<NoteSigner[]> {
  const ask = passphrases(options);
  const signers: NoteSigner[] = [];
  for (const key of options.key ?? [join(dir, 'keys', 'online.key')]) {
    const path = resolve(key);
    if (!existsSync(path))
      throw new BoundaryError(
        'key.missing',
        `There is no key ${path}; nothing was published. Name it with --key.`,
        {
          at: path,
        },
      );
    signers.push(await openKeyFile(path, await ask(basename(path))));
  }
  return signers;
}

/** Origins whose file changes; where none does (a rotation), one whose file is listed, to try the new chain with. */
function stagedSites(dir: string): string[] {
  const { targets, regions, before } = readStaging(stagingDir(dir));
  const filesOf = (lists: (Metadata<Targets> | null)[]): Map<string, string> =>
    new Map(
      lists.flatMap((list) =>
        Object.entries(list?.signed.targets ?? {}).map(([name, info]) => [name, info.hashes.sha256 ?? '']),
      ),
    );
  const old = filesOf([...before.regions.values(), before.targets]);
  const files = [...filesOf([targets, ...regions.values()])].filter(([name]) => name.startsWith('sites/'));
  const changed = files.filter(([name, digest]) => old.get(name) !== digest);
  return (changed.length === 0 ? files.slice(0, 1) : changed)
    .map(([name]) => name.replace(/^sites\//, '').replace(/\.json$/, ''))
    .sort();
}

/** Does to the new repository what the sites concerned will do: what one of them would refuse is not published. */
async function rehearse(dir: string, { files }: Publication, sites: readonly string[]): Promise<void> {
  const all = new Map([...publishedFiles(repositoryDir(dir)), ...files]);
  const trustedRoot = all.get('metadata/1.root.json');
  if (trustedRoot === undefined) throw new Error('repo: no first root');
  for (const site of sites) {
    try {
      await verifyUpdate({ files: all, trustedRoot, site, now: Date.now(), expiry: 'enforce' });
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      throw new BoundaryError(
        'finish.would_be_refused',
        `${site} would refuse this, so nothing was published: ${error.message} [${error.code}]`,
        { cause: error },
      );
    }
  }
}

function publishedFiles(repository: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  if (!existsSync(repository)) return files;
  for (const file of readdirSync(repository, { recursive: true, withFileTypes: true })) {
    if (!file.isFile() || file.name.startsWith('.')) continue;
    const path = join(file.parentPath, file.name);
    files.set(path.slice(repository.length + 1), readBounded(path, FILE_MAX_BYTES));
  }
  return files;
}
