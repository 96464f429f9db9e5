import { basename, resolve } from 'node:path';
import { Command } from 'commander';
import { createKeyFile, openKeyFile } from '../../sync/repository/key-file.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { witnessSigner } from '../formats/cosignature.ts';
import { formatVkey, type NoteSigner, parseVkey, TYPE_COSIGNATURE } from '../formats/signed-note.ts';
import { writeDurable } from '../host/durable-file.ts';
import { readSecretFile, writeSecretFile } from '../host/secret-file.ts';
import { newSigningKey, parseSigningKey } from '../host/signer.ts';
import type { SiteOptions } from './access.ts';
import { type PassphraseOptions, passphrases } from './passphrase.ts';
import { print, printJson } from './render/output.ts';
import { paint, plain, rows } from './render/text.ts';

interface NewKeyOptions extends SiteOptions, PassphraseOptions {
  name: string;
  unprotected?: boolean;
}

const MAX_KEY_FILE = 8_192;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}$/;

const HELP = `
FILE.pub holds the witness's vkey (C2SP, type 0x04). Sites that are to believe the witness put it into trust/tlog-policy:

  witness NAME VKEY
  quorum NAME

A witness's key signs nothing else. Without its state file (anchor cosign --state) it is worthless: keep both together.`;

/** `anchor witness-key`: a witness's own key, on the witness's own machine. */
export function witnessKeyCommand(): Command {
  return new Command('witness-key')
    .description("Make an offline witness's key under a passphrase, and FILE.pub to hand out.")
    .argument('<file>', 'where the private key goes; it never leaves its holder')
    .requiredOption('--name <name>', 'name of the witness, a schema-less URL such as witness.example/w1')
    .option('--passphrase-fd <n>', 'read the passphrase from this file descriptor instead of asking')
    .option('--unprotected', 'no passphrase, only mode 0600: for a machine that cosigns by itself')
    .addHelpText('after', HELP)
    .action(async (file: string, options: NewKeyOptions) => {
      const path = resolve(file);
      const vkey =
        options.unprotected === true ? plainKey(path, options.name) : await sealedKey(path, options);
      if (options.json) printJson({ key: path, public: `${path}.pub`, name: options.name, vkey });
      else
        print(
          `${paint('bold', "A witness's key was made.")}\n${rows([
            ['witness', plain(options.name)],
            ['private', `${path} (keep it to yourself)`],
            ['public', `${path}.pub (hand this one out)`],
            ['vkey', vkey],
          ])}`,
        );
    });
}

async function sealedKey(path: string, options: NewKeyOptions): Promise<string> {
  const { name } = options;
  const passphrase = await passphrases(options)(`the new key of ${name}`, { confirm: true });
  return (await createKeyFile(path, { name, passphrase, publicAs: asWitness })).vkey;
}

function plainKey(path: string, name: string): string {
  if (!NAME.test(name))
    throw new BoundaryError(
      'key.bad_name',
      'Name the witness with letters, digits and ._@/- (at most 64); no key was made.',
      { at: '--name' },
    );
  const { text, vkey } = newSigningKey(name);
  writeSecretFile(path, Buffer.from(text, 'utf8'));
  writeDurable(`${path}.pub`, Buffer.from(`${asWitness(vkey)}\n`, 'utf8'), 0o644);
  return asWitness(vkey);
}

function asWitness(vkey: string): string {
  const { name, publicKey } = parseVkey(vkey);
  return formatVkey(name, publicKey, TYPE_COSIGNATURE);
}

/** The witness whose key lies in a file, under a passphrase or not. Throws BoundaryError `secret.*`, `key.*`, `passphrase.*`. */
export async function openWitnessKey(file: string, options: PassphraseOptions): Promise<NoteSigner> {
  const path = resolve(file);
  const text = Buffer.from(readSecretFile(path, MAX_KEY_FILE)).toString('utf8');
  if (text.startsWith('PRIVATE+KEY+')) return witnessSigner(parseSigningKey(text, path));
  return witnessSigner(await openKeyFile(path, await passphrases(options)(basename(path))));
}
