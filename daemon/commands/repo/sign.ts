import { existsSync, lstatSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { assertStagedIssued } from '../../../sync/repository/issued.ts';
import { openKeyFile } from '../../../sync/repository/key-file.ts';
import { keyOf } from '../../../sync/repository/keys.ts';
import { stagedReport } from '../../../sync/repository/report.ts';
import { stagingDir } from '../../../sync/repository/settings.ts';
import {
  assertBefore,
  mergeSignatures,
  signableBy,
  signStaged,
} from '../../../sync/repository/signatures.ts';
import { isStaging, readStaging, type Staging } from '../../../sync/repository/staging.ts';
import { type DescribeBundles, describeStaged } from '../../../sync/repository/words.ts';
import { compileBundle } from '../../core/compile.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { canonicalBytes } from '../../formats/canonical-json.ts';
import { sha256Hex } from '../../formats/digest.ts';
import { describeChanges } from '../../policy/diff.ts';
import type { SiteOptions } from '../access.ts';
import { type PassphraseOptions, passphrases } from '../passphrase.ts';
import { print, printJson, say } from '../render/output.ts';
import { count, paint, plain } from '../render/text.ts';
import { renderStaged } from './staged.ts';

interface SignOptions extends SiteOptions, PassphraseOptions {
  key: string;
  yes?: boolean;
}

const SIGN_HELP = `
PATH is a staging area, the publisher's directory around it, or one file in it (metadata/4.targets.json). What you are about to
sign is said in words first; every digest behind the words is checked. Your signature goes into the files in place.

Example:
  holdfast repo sign /media/stick/staging --key ~/alice.key`;

/** `repo sign`: one person's signature under what is staged. */
export function signCommand(): Command {
  return new Command('sign')
    .description('Show in words what is staged, and sign it with one key.')
    .argument('<path>', 'staging area, or one file in it')
    .requiredOption('--key <file>', 'your private key')
    .option('--passphrase-fd <n>', 'read its passphrase from this file descriptor instead of asking')
    .option('--yes', 'sign without asking again')
    .addHelpText('after', SIGN_HELP)
    .action(async (path: string, options: SignOptions) => {
      const { staging, only } = locate(resolve(path));
      assertBefore(staging);
      const key = resolve(options.key);
      const signer = await openKeyFile(key, await passphrases(options)(basename(key)));
      const files = signableBy(staging, keyOf(signer).keyID, only);
      const words = files.flatMap((file) => describeStaged(staging, file, describeBundles));
      for (const file of files) assertStagedIssued(staging, file, Date.now());
      if (files.length > 0)
        say(`${paint('bold', `You sign as ${signer.name}:`)}\n${words.map(plain).join('\n')}`);
      if (files.length > 0 && options.yes !== true) await confirm();
      const signed = signStaged(staging, signer, only);
      const staged = stagedReport(staging.dir);
      if (options.json) printJson({ signer: signer.name, shown: words, signed, staged });
      else print(`${paint('green', paint('bold', 'SIGNED'))}  ${signed.join(', ')}\n${renderStaged(staged)}`);
    });
}

/** `repo merge`: signatures from copies of the staging area, in any order. */
export function mergeCommand(): Command {
  return new Command('merge')
    .description('Bring signatures from copies of the staging area together, in any order.')
    .argument('<dir>', "publisher's directory, or a staging area")
    .argument('<from...>', 'copies of the staging area')
    .action((dir: string, from: string[], options: SiteOptions) => {
      const { staging } = locate(resolve(dir));
      let added = 0;
      for (const copy of from) added += mergeSignatures(staging, locate(resolve(copy)).staging);
      const staged = stagedReport(staging.dir);
      if (options.json) printJson({ added, staged });
      else print(`${paint('bold', 'MERGED')}  ${count(added, 'new signature')}\n${renderStaged(staged)}`);
    });
}

/** The staging area that a path means, and the one file in it, if it is a file. */
function locate(path: string): { staging: Staging; only: string | null } {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() === true) {
    const dir = dirname(dirname(path));
    const staging = readStaging(dir);
    return { staging, only: `${basename(dirname(path))}/${basename(path)}` };
  }
  // A publisher's own directory has its staging area one step down; a repository also has metadata/, and is not for signing.
  if (isStaging(stagingDir(path))) return { staging: readStaging(stagingDir(path)), only: null };
  if (existsSync(`${path}/metadata/timestamp.json`))
    throw new BoundaryError(
      'staging.missing',
      `${path} is a published repository; nothing was done. Name the staging area beside it.`,
      { at: path },
    );
  return { staging: readStaging(path), only: null };
}

/** Policy changes in sentences; a bundle that no engine would load is not described, and so not signed. */
const describeBundles: DescribeBundles = (before, after) => {
  compileBundle(after, sha256Hex(canonicalBytes(after as never)));
  return describeChanges(before, after);
};

async function confirm(): Promise<void> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question('Sign this? [y/N] ').finally(() => prompt.close());
  if (/^y(es)?$/i.test(answer.trim())) return;
  throw new BoundaryError('sign.declined', 'Nothing was signed.');
}
