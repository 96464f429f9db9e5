import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { countersign } from '../../../sync/repository/countersign.ts';
import { repositoryDir } from '../../../sync/repository/publisher.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { sha256Hex, toBase64 } from '../../formats/digest.ts';
import { type Enrolment, openEnrolment } from '../../formats/enrolment.ts';
import { makeDir, readBounded, writeDurable } from '../../host/durable-file.ts';
import type { SiteOptions } from '../access.ts';
import { readEnrolment } from '../enrolment.ts';
import type { PassphraseOptions } from '../passphrase.ts';
import { rememberedProvisioning, siteRecords } from '../provision/records.ts';
import { print, printJson, say } from '../render/output.ts';
import { moment, paint, plain, rows } from '../render/text.ts';
import { readSealedTrust, type TrustFile, trustBytes, trustFingerprint } from '../trust.ts';
import { confirm, signerFor } from './sign-trust.ts';

interface EnrolOptions extends SiteOptions, PassphraseOptions {
  repo: string;
  key?: string;
  yes?: boolean;
  replace?: boolean;
}

const ROOT_MAX_BYTES = 512_000;

const HELP = `
FILE is what "init --from" left in outbox/ and on the stick, or its QR codes as pictures (all of them). It is proven that
whoever sent it has the key that it names; that this is your site's machine, only its people can tell: let them read you
the fingerprint. The countersigned trust file is kept in sites/ of the publisher's directory, and is what receipts, anchors and
evidence of that site are checked with. Others sign it there: repo sign-trust.

Example:
  holdfast repo enrol stick/enrolment.proof --repo hq --key alice.key
  holdfast repo sign-trust hq/sites/outpost-7.example.trust --repo hq --key bob.key`;

/** `repo enrol`: headquarters takes a new site's key into its books. */
export function enrolCommand(): Command {
  return new Command('enrol')
    .description("Take a new site's key into the books: check its enrolment, countersign its trust file.")
    .argument('<file...>', 'enrolment of the site, or pictures of its QR codes')
    .requiredOption('--repo <dir>', "publisher's directory")
    .option('--key <file>', 'your targets key')
    .option('--passphrase-fd <n>', 'read its passphrase from this file descriptor instead of asking')
    .option('--replace', 'the site was made anew and has another key than the one in the books')
    .option('--yes', 'sign without asking again')
    .addHelpText('after', HELP)
    .action(runEnrol);
}

async function runEnrol(files: string[], options: EnrolOptions): Promise<void> {
  const publisher = resolve(options.repo);
  const repository = repositoryDir(publisher);
  const enrolment = openEnrolment(await readEnrolment(files));
  const remembered = rememberedProvisioning(publisher, enrolment.site);
  assertProvisioned(enrolment, remembered);
  const root = rootNamed(repository, enrolment.root_digest);
  const bytes = trustBytes(trustOf(enrolment, root));
  const path = siteRecords(publisher, enrolment.site).trust;
  assertNew(path, bytes, options);
  const signer = await signerFor(options);
  say(words(enrolment, bytes, remembered, signer.name));
  await confirm(options);
  const { text, signed, open, threshold } = countersign(repository, { bytes, envelope: null, root }, signer);
  makeDir(join(publisher, 'sites'), 0o755);
  writeDurable(path, Buffer.from(text, 'utf8'), 0o644);
  const fingerprint = trustFingerprint(bytes);
  if (options.json) {
    printJson({ file: path, ...enrolment, fingerprint, signed, open, threshold });
    return;
  }
  const missing = threshold - signed.length;
  const next =
    missing > 0
      ? `${missing} more must sign before anybody accepts it (${plain(open.join(', '))}):\n  holdfast repo sign-trust ${plain(path)} --repo ${plain(options.repo)} --key KEY`
      : 'Enough have signed: what the site sends can be checked with it.';
  print(
    `${paint('green', paint('bold', 'ENROLLED'))}  ${plain(enrolment.site)}: ${signed.length} of ${threshold} (${plain(signed.join(', '))})\nTrust file: ${plain(path)}\n${next}`,
  );
}

function trustOf({ site, origin, profile, vkey }: Enrolment, root: Uint8Array): TrustFile {
  const logs = [{ origin, keys: [{ vkey, from: 0, until: null }] }];
  return { v: 1, site, origin, profile, vkeys: [vkey], logs, root: toBase64(root) };
}

/** A machine that was set up by another folder than the one handed out is not the one that headquarters means. */
function assertProvisioned({ site, provisioning }: Enrolment, remembered: string | null): void {
  if (provisioning === null || remembered === null || provisioning === remembered) return;
  throw new BoundaryError(
    'enrol.other_provisioning',
    `This machine became ${site} by another provisioning folder than the last one that was made here; nothing was signed. Ask whether it was an earlier stick, and then make the site anew with the newest one; else somebody else's folder was used.`,
  );
}

function rootNamed(repository: string, digest: string): Uint8Array {
  const dir = join(repository, 'metadata');
  const names = existsSync(dir)
    ? readdirSync(dir).filter((name) => /^[1-9][0-9]*\.root\.json$/.test(name))
    : [];
  for (const name of names) {
    const bytes = readBounded(join(dir, name), ROOT_MAX_BYTES);
    if (sha256Hex(bytes) === digest) return bytes;
  }
  throw new BoundaryError(
    'enrol.other_root',
    `The site has pinned a policy root that was never published in ${repository}; nothing was signed. Name the right repository, or ask the site how it was set up.`,
  );
}

/** The books are not overwritten by whoever sends another key. */
function assertNew(path: string, bytes: Uint8Array, { replace }: EnrolOptions): void {
  if (!existsSync(path) || replace === true) return;
  const known = readSealedTrust(path);
  if (Buffer.from(known.bytes).equals(bytes))
    throw new BoundaryError(
      'enrol.again',
      `The site is in the books already, with this very key; nothing was changed. To add your signature: holdfast repo sign-trust ${path} --repo DIR --key KEY`,
      { at: path },
    );
  throw new BoundaryError(
    'enrol.other_key',
    `The site is in the books with another key (${known.trust.vkeys.join(', ')}); nothing was signed. When the machine was lost and the site made anew, say so with --replace, and keep the old trust file: it is what its old record is checked with.`,
    { at: path },
  );
}

function words(enrolment: Enrolment, bytes: Uint8Array, remembered: string | null, signer: string): string {
  const { site, profile, vkey, provisioning, at, size } = enrolment;
  return [
    paint('bold', `You sign as ${plain(signer)}, that this is the key of this site's ledger:`),
    rows([
      ['site', `${plain(site)} (profile ${plain(profile)})`],
      ['key', plain(vkey)],
      ['made at', `${moment(at)} by its own clock`],
      ['ledger', `${size} entries, signed with that key`],
      [
        'made from',
        provisioning === null
          ? 'a root file, not a provisioning folder'
          : provisioning === remembered
            ? 'the provisioning folder that was made here'
            : 'a provisioning folder that is not in the books here',
      ],
      ['fingerprint', trustFingerprint(bytes)],
    ]),
  ].join('\n');
}
