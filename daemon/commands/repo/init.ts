import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { createKeyFile, readPublicKey } from '../../../sync/repository/key-file.ts';
import { ROLES } from '../../../sync/repository/keys.ts';
import type { Lifetimes } from '../../../sync/repository/metadata.ts';
import { proposeFirst } from '../../../sync/repository/propose.ts';
import { namedKey, type RoleKeys } from '../../../sync/repository/roles.ts';
import { LIFETIMES } from '../../../sync/repository/settings.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { makeDir } from '../../host/durable-file.ts';
import type { SiteOptions } from '../access.ts';
import { type PassphraseOptions, passphrases } from '../passphrase.ts';
import { say } from '../render/output.ts';
import { parseThreshold } from './keys.ts';
import { showStaged } from './staged.ts';

interface InitOptions extends SiteOptions, PassphraseOptions {
  root?: string[];
  targets?: string[];
  online?: string[];
  rootThreshold?: string;
  targetsThreshold?: string;
  expires?: string[];
}

const HELP = `
Roles:
  root      says who signs everything else; changed rarely. Default: 2 of its keys must sign.
  targets   signs bundles, and which site runs which. Default: 2 of its keys must sign.
  online    snapshot and timestamp: says daily that this is the newest there is, and can say nothing else. 1 key.

Each signer makes a key at home ("repo new-key") and hands over the .pub file. Without --root and --targets three keys are made here
(signer-1 … signer-3, for both roles) and without --online one for that, each under a passphrase: carry them to their holders, and leave
none together. Then: repo sign, repo finish. Sites pin repository/metadata/1.root.json.

Example:
  holdfast repo init hq --root alice.pub bob.pub carol.pub --targets alice.pub bob.pub dave.pub --expires timestamp=45`;

/** `repo init`: a publisher whose keys lie with several people. */
export function repoInitCommand(): Command {
  return new Command('init')
    .description('Propose a new repository: who signs what, and how many of them must.')
    .argument('<dir>', 'directory to make')
    .option('--root <key...>', 'public keys (.pub files) of the root role')
    .option('--targets <key...>', 'public keys of the targets role (default: those of root)')
    .option('--online <key...>', 'public keys for snapshot and timestamp')
    .option('--root-threshold <n>', 'how many root keys must sign (default: 2)')
    .option('--targets-threshold <n>', 'how many targets keys must sign (default: 2)')
    .option('--expires <role=days...>', `days until it must be signed again (default: ${defaults()})`)
    .option('--passphrase-fd <n>', 'read passphrases of keys made here from this file descriptor')
    .addHelpText('after', HELP)
    .action((dir: string, options: InitOptions) => runInit(resolve(dir), options));
}

async function runInit(dir: string, options: InitOptions): Promise<void> {
  const lifetimes = parseLifetimes(options.expires ?? []);
  const ask = passphrases(options);
  const make = async (name: string): Promise<string> => {
    const path = join(dir, 'keys', `${name}.key`);
    const passphrase = await ask(`the new key ${name}`, { confirm: true });
    makeDir(dir, 0o755);
    makeDir(join(dir, 'keys'), 0o700);
    await createKeyFile(path, { name, passphrase });
    return `${path}.pub`;
  };
  const made: string[] = [];
  const orMade = async (given: string[] | undefined, names: string[]): Promise<string[]> => {
    if (given !== undefined) return given;
    const paths: string[] = [];
    for (const name of names) paths.push(await make(name));
    made.push(...paths);
    return paths;
  };
  const signers =
    options.root ?? options.targets ?? (await orMade(undefined, ['signer-1', 'signer-2', 'signer-3']));
  const online = roleKeys(await orMade(options.online, ['online']), '1');
  proposeFirst(dir, {
    roles: {
      root: roleKeys(options.root ?? signers, options.rootThreshold ?? '2'),
      targets: roleKeys(options.targets ?? signers, options.targetsThreshold ?? '2'),
      snapshot: online,
      timestamp: online,
    },
    lifetimes,
    now: Date.now(),
  });
  if (made.length > 1)
    say(`All keys lie in ${join(dir, 'keys')}: carry each to its holder and leave only online.key here.`);
  showStaged(dir, options, { directory: dir });
}

function roleKeys(paths: readonly string[], threshold: string): RoleKeys {
  return {
    keys: paths.map((path) => namedKey(readPublicKey(resolve(path)))),
    threshold: parseThreshold(threshold) ?? 1,
  };
}

function parseLifetimes(options: readonly string[]): Lifetimes {
  const lifetimes = { ...LIFETIMES };
  for (const option of options) {
    const match = /^([a-z]+)=([1-9]\d{0,3})$/.exec(option);
    const role = ROLES.find((name) => name === match?.[1]);
    if (role === undefined)
      throw new BoundaryError(
        'expires.malformed',
        `Write --expires as ROLE=DAYS with a role of ${ROLES.join(', ')}; nothing was made.`,
        { at: '--expires' },
      );
    lifetimes[role] = Number(match?.[2]);
  }
  return lifetimes;
}

function defaults(): string {
  return ROLES.map((role) => `${role}=${LIFETIMES[role]}`).join(' ');
}
