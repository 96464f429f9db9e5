import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { countersign, pinnedVersion, type TrustToSign } from '../../../sync/repository/countersign.ts';
import { openKeyFile } from '../../../sync/repository/key-file.ts';
import { repositoryDir } from '../../../sync/repository/publisher.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { fromBase64 } from '../../formats/digest.ts';
import type { NoteSigner } from '../../formats/signed-note.ts';
import { writeDurable } from '../../host/durable-file.ts';
import { loadSigner } from '../../host/signer.ts';
import type { SiteOptions } from '../access.ts';
import { type PassphraseOptions, passphrases } from '../passphrase.ts';
import { print, printJson, say } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';
import { readSealedTrust, type SealedTrust, trustFingerprint } from '../trust.ts';

interface SignTrustOptions extends SiteOptions, PassphraseOptions {
  repo: string;
  key?: string;
  out?: string;
  yes?: boolean;
}

const HELP = `
TRUST is what "site export-trust" wrote at the site. Your signature says that these are that site's ledger keys: compare the
fingerprint with the one that the site's people read to you, over a way that you trust. As many targets keys must sign as
for a bundle; the file travels from signer to signer, in any order.

Example:
  holdfast repo sign-trust outpost-7.trust --repo hq --key alice.key
  holdfast receipt verify RECEIPT --trust outpost-7.trust --root 1.root.json`;

/** `repo sign-trust`: headquarters stands behind a site's trust file. */
export function signTrustCommand(): Command {
  return new Command('sign-trust')
    .description(
      "Countersign a site's trust file with a targets key, so that auditors need not believe the carrier.",
    )
    .argument('<trust>', 'trust file written by `site export-trust`')
    .requiredOption('--repo <dir>', "publisher's directory")
    .option('--key <file>', "your private key (of a dev site's publisher: its targets key, by default)")
    .option('-o, --out <file>', 'where the countersigned file goes (default: in place)')
    .option('--passphrase-fd <n>', 'read its passphrase from this file descriptor instead of asking')
    .option('--yes', 'sign without asking again')
    .addHelpText('after', HELP)
    .action(runSignTrust);
}

async function runSignTrust(file: string, options: SignTrustOptions): Promise<void> {
  const repository = repositoryDir(resolve(options.repo));
  const sealed = readSealedTrust(file);
  const { trust, bytes, envelope } = sealed;
  const toSign: TrustToSign = { bytes, envelope, root: fromBase64(trust.root) };
  const signer = await signerFor(options);
  say(words(sealed, pinnedVersion(repository, toSign.root), signer));
  await confirm(options);
  const { text, ...progress } = countersign(repository, toSign, signer);
  const out = resolve(options.out ?? file);
  writeDurable(out, Buffer.from(text, 'utf8'), 0o644);
  const { signed, open, threshold } = progress;
  if (options.json) {
    printJson({
      file: out,
      site: trust.site,
      fingerprint: trustFingerprint(bytes),
      signer: signer.name,
      ...progress,
    });
    return;
  }
  const missing = threshold - signed.length;
  const next =
    missing > 0
      ? `${missing} more must sign before anybody accepts it; can still sign: ${open.join(', ')}.`
      : 'Enough have signed. Auditors check it with --root root.json.';
  print(
    `${paint('green', paint('bold', 'COUNTERSIGNED'))}  ${plain(out)}: ${signed.length} of ${threshold} (${signed.join(', ')})\n${next}`,
  );
}

/** The targets key that `--key` names; of a dev site's publisher its own, by default. Throws BoundaryError `key.missing`, `secret.*`. */
export async function signerFor(
  options: PassphraseOptions & { repo: string; key?: string },
): Promise<NoteSigner> {
  const dir = resolve(options.repo);
  if (options.key !== undefined) {
    const key = resolve(options.key);
    return openKeyFile(key, await passphrases(options)(basename(key)));
  }
  const own = join(dir, 'keys', 'targets.key');
  if (!existsSync(join(dir, 'publisher.json')) && existsSync(own)) return loadSigner(own);
  throw new BoundaryError('key.missing', 'Name your private key with --key; nothing was signed.', {
    at: '--key',
  });
}

/** What is about to be signed. */
function words({ trust, bytes }: SealedTrust, pinned: number | null, signer: NoteSigner): string {
  return [
    paint('bold', `You sign as ${plain(signer.name)}, that these are the keys of this site's ledger:`),
    rows([
      ['site', plain(trust.site)],
      [
        'profile',
        trust.profile === 'dev' ? 'dev: made for development, worth nothing elsewhere' : plain(trust.profile),
      ],
      ['ledger', plain(trust.origin)],
      ['keys', plain(trust.vkeys.join('\n'))],
      [
        'follows',
        pinned === null
          ? 'a root that is not of this repository'
          : `root version ${pinned} of this repository`,
      ],
      ['fingerprint', trustFingerprint(bytes)],
    ]),
  ].join('\n');
}

/** Asks at the terminal unless `yes`. Throws BoundaryError `sign.unseen`, `sign.declined`. */
export async function confirm(
  { yes }: { yes?: boolean },
  question = 'Did the site read this fingerprint to you? Sign? [y/N] ',
): Promise<void> {
  if (yes === true) return;
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new BoundaryError(
      'sign.unseen',
      'There is no terminal to ask at, so nothing was signed. Compare the fingerprint, then repeat with --yes.',
    );
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question(question).finally(() => prompt.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new BoundaryError('sign.declined', 'Nothing was signed.');
}
