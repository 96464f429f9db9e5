import { resolve } from 'node:path';
import { Command } from 'commander';
import { createKeyFile, readPublicKey } from '../../../sync/repository/key-file.ts';
import { isKey, proposeKeys, proposeRenewal, proposeRevocation } from '../../../sync/repository/propose.ts';
import { namedKey } from '../../../sync/repository/roles.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { SiteOptions } from '../access.ts';
import { type PassphraseOptions, passphrases } from '../passphrase.ts';
import { print, printJson } from '../render/output.ts';
import { paint, rows } from '../render/text.ts';
import { showStaged } from './staged.ts';

interface NewKeyOptions extends SiteOptions, PassphraseOptions {
  name: string;
}

interface RotateOptions extends SiteOptions {
  add?: string[];
  remove?: string[];
  threshold?: string;
}

/** `repo new-key`: a signer's own key, on the signer's own machine. */
export function newKeyCommand(): Command {
  return new Command('new-key')
    .description("Make a signer's key under a passphrase, and FILE.pub to hand out.")
    .argument('<file>', 'where the private key goes; it never leaves its holder')
    .requiredOption('--name <name>', 'whose key it is, as others will read it')
    .option('--passphrase-fd <n>', 'read the passphrase from this file descriptor instead of asking')
    .action(async (file: string, options: NewKeyOptions) => {
      const path = resolve(file);
      const passphrase = await passphrases(options)(`the new key of ${options.name}`, { confirm: true });
      const { vkey } = await createKeyFile(path, { name: options.name, passphrase });
      const report = {
        key: path,
        public: `${path}.pub`,
        name: options.name,
        vkey,
        id: namedKey(readPublicKey(`${path}.pub`)).keyID,
      };
      if (options.json) printJson(report);
      else
        print(
          `${paint('bold', 'A key was made.')}\n${rows([
            ['holder', report.name],
            ['private', `${report.key} (keep it, and its passphrase, to yourself)`],
            ['public', `${report.public} (hand this one out)`],
            ['id', report.id],
          ])}`,
        );
    });
}

/** `repo add-key`: one more signer of a role or region. */
export function addKeyCommand(): Command {
  return new Command('add-key')
    .description('Propose more signers for a role or region.')
    .argument('<dir>', "publisher's directory")
    .argument('<keys...>', 'public keys (.pub files)')
    .requiredOption('--role <role>', 'root, targets, snapshot, timestamp or a region')
    .option('--threshold <n>', 'how many must sign from now on')
    .action((dir: string, keys: string[], options: SiteOptions & { role: string; threshold?: string }) =>
      change(dir, options.role, { ...options, add: keys }),
    );
}

/** `repo rotate`: other signers, or another threshold, for a role or region. */
export function rotateCommand(): Command {
  return new Command('rotate')
    .description('Propose other keys or another threshold for a role or region.')
    .argument('<dir>', "publisher's directory")
    .argument('<role>', 'root, targets, snapshot, timestamp or a region')
    .option('--add <key...>', 'public keys (.pub files) that count from now on')
    .option('--remove <key...>', 'names or ids of keys that count no longer')
    .option('--threshold <n>', 'how many must sign from now on')
    .action((dir: string, role: string, options: RotateOptions) => change(dir, role, options));
}

/** `repo revoke`: a lost or stolen key, out of everything at once. */
export function revokeCommand(): Command {
  return new Command('revoke')
    .description('Propose to take a lost or stolen key out of every role and region at once.')
    .argument('<dir>', "publisher's directory")
    .argument('<key>', "the holder's name, or the key's id")
    .option('--replace <key>', 'public key (.pub file) that takes its place')
    .addHelpText('after', REVOKE_HELP)
    .action((dir: string, key: string, options: SiteOptions & { replace?: string }) => {
      const replacement =
        options.replace === undefined ? [] : [namedKey(readPublicKey(resolve(options.replace)))];
      proposeRevocation(resolve(dir), { key, replacement, now: Date.now() });
      showStaged(resolve(dir), options);
    });
}

/** `repo renew`: the same again, valid for longer. */
export function renewCommand(): Command {
  return new Command('renew')
    .description('Propose to sign root, targets or a region again before it expires.')
    .argument('<dir>', "publisher's directory")
    .argument('<role>', 'root, targets or a region')
    .action((dir: string, role: string, options: SiteOptions) => {
      proposeRenewal(resolve(dir), { role, now: Date.now() });
      showStaged(resolve(dir), options);
    });
}

const REVOKE_HELP = `
Everything that the key had signed is proposed again, so that nothing rests on it. Sites refuse the key from the moment
they import the result; carry it to them now. If something else waits to be signed, drop that first: repo discard DIR.
For a stolen online key, make a new one, give it with --replace, and finish with --key NEW.`;

/** `--threshold`: a whole number from 1 on, or undefined. */
export function parseThreshold(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new BoundaryError(
    'threshold.malformed',
    'A threshold is a whole number from 1 to 99; nothing was done.',
    {
      at: '--threshold',
    },
  );
}

function change(
  dir: string,
  role: string,
  { add = [], remove = [], threshold, ...options }: RotateOptions,
): void {
  const added = add.map((path) => namedKey(readPublicKey(resolve(path))));
  const limit = parseThreshold(threshold);
  if (added.length === 0 && remove.length === 0 && limit === undefined)
    throw new BoundaryError(
      'rotate.nothing',
      'Say what changes: --add, --remove or --threshold. Nothing was staged.',
    );
  proposeKeys(resolve(dir), {
    role,
    now: Date.now(),
    change: (before) => {
      const unknown = remove.find((wanted) => !before.keys.some((key) => isKey(key, wanted)));
      if (unknown !== undefined)
        throw new BoundaryError('key.unknown', `${role} has no key ${unknown}; nothing was staged.`);
      const kept = before.keys.filter((key) => !remove.some((wanted) => isKey(key, wanted)));
      return { keys: [...kept, ...added], threshold: limit ?? before.threshold };
    },
  });
  showStaged(resolve(dir), options);
}
