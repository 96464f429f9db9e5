import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { openKeyFile } from '../../sync/repository/key-file.ts';
import { acknowledgementName, signAcknowledgement } from '../formats/acknowledgement.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { sha256Hex } from '../formats/digest.ts';
import { parseEnvelope } from '../formats/dsse.ts';
import { RECEIPT_TYPE, verifyReceipt } from '../formats/receipt.ts';
import { makeDir, readBounded, writeDurable } from '../host/durable-file.ts';
import type { SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { type PassphraseOptions, passphrases } from './passphrase.ts';
import { print, printJson } from './render/output.ts';
import { paint, plain, table } from './render/text.ts';
import { logTrust, readTrustFile, type TrustFile } from './trust.ts';

interface AcknowledgeOptions extends SiteOptions, PassphraseOptions {
  trust: string;
  key: string;
  out: string;
  asIs?: boolean;
}

const HELP = `
Headquarters' side. A site keeps what it sent until it is told, under a signature, that it arrived. Each FILE is what came from one
site's outbox, by link or stick. Receipts and anchors are verified first; what does not verify is not acknowledged. The
key is one that the site's policy names (section headquarters), made with "repo new-key"; no publisher's key.

DIR goes back to the site: as acknowledgements/ of its shelf on the web server, or of the stick's repository.

Example:
  holdfast receipt acknowledge /srv/shelf/outpost-7/*.json --trust outpost-7.trust --key mail.key \\
    -o /srv/shelf/outpost-7/acknowledgements

Exit codes: 0 all are acknowledged · 10 some did not verify, the others are acknowledged · 2 no such file or key`;

const FILE_MAX_BYTES = 64 * 1024 * 1024;
const KINDS = { receipt: 'receipt', anchor: 'anchor', unverified: 'not verified' } as const;
type Kind = keyof typeof KINDS;

/** What is said about one file. */
interface Answer {
  file: string;
  sha256: string;
  kind: Kind | null;
  /** Null when it was acknowledged. */
  refused: { code: string; message: string } | null;
  /** Where the acknowledgement lies; null when there is none. */
  written: string | null;
}

/** `holdfast receipt acknowledge`: headquarters' word that files of a site's outbox arrived. */
export function acknowledgeCommand(): Command {
  return new Command('acknowledge')
    .description(
      'Verify what came from a site, and sign that it arrived, so that the site may stop keeping it.',
    )
    .argument('<file...>', 'receipts and anchors of one site')
    .requiredOption('--trust <file>', "the site's trust file, written by `site export-trust`")
    .requiredOption('--key <file>', "headquarters' acknowledgement key")
    .requiredOption('-o, --out <dir>', 'where the acknowledgements go; made when missing')
    .option('--as-is', 'acknowledge files of other kinds too, unverified')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of asking")
    .addHelpText('after', HELP)
    .action(runAcknowledge);
}

async function runAcknowledge(files: string[], options: AcknowledgeOptions): Promise<void> {
  const trust = readTrustFile(options.trust);
  const out = resolve(options.out);
  if (!existsSync(dirname(out))) throw noDirectory(dirname(out));
  const key = resolve(options.key);
  const signer = await openKeyFile(key, await passphrases(options)(basename(key)));
  const judged = files.map((file) => judge(resolve(file), trust, options));
  makeDir(out, 0o755);
  const received_at = `${new Date().toISOString().slice(0, 19)}Z`;
  const answers = judged.map((answer): Answer => {
    if (answer.refused !== null) return answer;
    const path = join(out, acknowledgementName(answer.sha256));
    const { file, sha256 } = answer;
    const text = signAcknowledgement({ v: 1, site: trust.site, file, sha256, received_at }, signer);
    // Making it again is harmless: the site records what it hears once.
    if (!existsSync(path)) writeDurable(path, Buffer.from(text, 'utf8'), 0o644);
    return { ...answer, written: path };
  });
  if (options.json) printJson({ site: trust.site, signer: signer.name, directory: out, files: answers });
  else print(render(answers, out, trust.site));
  endWith(answers.every(({ refused }) => refused === null) ? EXIT.done : EXIT.tampered);
}

function judge(path: string, trust: TrustFile, { asIs }: AcknowledgeOptions): Answer {
  const bytes = readBounded(path, FILE_MAX_BYTES);
  const sha256 = sha256Hex(bytes);
  const answer: Answer = { file: basename(path), sha256, kind: null, refused: null, written: null };
  try {
    answer.file = nameIn(basename(path), sha256);
    answer.kind = kindOf(Buffer.from(bytes).toString('utf8'), trust) ?? (asIs === true ? 'unverified' : null);
    if (answer.kind === null) throw otherKind(answer.file);
    return answer;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return { ...answer, refused: { code: error.code, message: error.message } };
  }
}

/** What the site called it: sync puts the digest before the name. */
function nameIn(name: string, sha256: string): string {
  const [, digest, rest] = /^([0-9a-f]{64})\.(.+)$/.exec(name) ?? [];
  if (digest === undefined || rest === undefined) return name;
  if (digest === sha256) return rest;
  throw new BoundaryError(
    'acknowledge.damaged',
    'It is not what its name says that it is: it was damaged on the way. Get it again.',
  );
}

/** Which kind of file of this site it is; null for none known here. Throws BoundaryError when it does not verify. */
function kindOf(text: string, trust: TrustFile): Kind | null {
  const anchored = /^old (?:0|[1-9]\d*)\n(?:[A-Za-z0-9+/]{43}=\n)*\n([\s\S]+)$/.exec(text)?.[1];
  if (anchored !== undefined) {
    openCheckpoint(anchored, { vkeys: logTrust(trust).vkeys });
    return 'anchor';
  }
  if (!isReceipt(text)) return null;
  verifyReceipt(text, { site: trust.site, ...logTrust(trust) });
  return 'receipt';
}

function isReceipt(text: string): boolean {
  try {
    return parseEnvelope(text).payloadType === RECEIPT_TYPE;
  } catch (error) {
    if (error instanceof BoundaryError) return false;
    throw error;
  }
}

function render(answers: readonly Answer[], out: string, site: string): string {
  const written = answers.filter(({ refused }) => refused === null);
  const head = `${paint('bold', 'ACKNOWLEDGED')}  ${written.length} of ${answers.length} for ${plain(site)}, in ${plain(out)}`;
  const lines = answers.map(({ file, kind, refused }) => [
    plain(file),
    refused === null ? KINDS[kind ?? 'unverified'] : paint('red', 'REFUSED'),
    refused === null ? '' : `${plain(refused.message)} [${refused.code}]`,
  ]);
  return `${head}\n${table(['file', 'verified as', ''], lines)}`;
}

function otherKind(file: string): BoundaryError {
  return new BoundaryError(
    'acknowledge.unknown_kind',
    `${file} is neither a receipt nor an anchor, so nothing about it can be verified. To acknowledge it all the same: --as-is.`,
  );
}

function noDirectory(path: string): BoundaryError {
  return new BoundaryError(
    'file.no_directory',
    `There is no directory ${path} to write to; nothing was signed. Create it first, or name another one with -o.`,
    { at: path },
  );
}
