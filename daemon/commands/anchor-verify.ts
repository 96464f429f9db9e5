import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readAnchors } from './anchor-files.ts';
import {
  type AnchorVerdict,
  headDocument,
  judgeAnchors,
  type LedgerAtHand,
  type LogVerdict,
} from './anchor-judgement.ts';
import { openTree, trustAfter, verifyFiles } from './anchor-ledger.ts';
import { readJudgedTrust, withRootOption } from './countersignature.ts';
import { endWith } from './exit.ts';
import { filesOf, type VerifiedFiles, type VerifyOptions } from './ledger-verify.ts';
import { renderVerdict } from './render/anchor.ts';
import { print, printJson } from './render/output.ts';
import { count } from './render/text.ts';
import { logTrust } from './trust.ts';

interface AnchorVerifyOptions extends VerifyOptions {
  against?: string;
}

const HELP = `
FILE is an anchor, a directory of them (a stick, say), or QR codes as pictures or text; in any order, twice is fine. A permit
file or a receipt that somebody kept will do too: each carries a signed tree head.
Without --trust the site at hand is believed, and its own ledger is what the anchors are held against. With --trust they
are held against --ledger or --tiles, and against each other alone when neither is given.

Examples:
  holdfast anchor verify /media/stick/holdfast-anchors
  holdfast anchor verify a/*.anchor --trust site-trust.json --ledger copied.sqlite
  holdfast anchor verify a --trust site-trust.json --tiles left --against right     the first entry in which two ledgers differ

Exit codes: 0 one history · 10 two histories, or something was changed · 12 each anchor is good, but those in between that
  would link them are missing · 13 signed by an unknown or retired key, or of another log · 14 the ledger ends before an anchor`;

/** `holdfast anchor verify`: a pile of anchors against each other, and against a live or copied ledger. */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description(
      'Hold anchors against each other and against a ledger: one history, or where it was changed.',
    )
    .argument('<file...>', 'anchors, directories of anchors, QR codes')
    .option('--trust <file>', "the site's trust file, where there is no site at hand")
    .option('--ledger <file>', 'a copied ledger')
    .option('--tiles <dir>', 'a tile directory (ledger export --tiles)')
    .option('--against <path>', 'another ledger or tile directory, to find the first entry that differs');
  return withRootOption(command).addHelpText('after', HELP).action(runVerify);
}

async function runVerify(paths: string[], options: AnchorVerifyOptions): Promise<void> {
  const pile = await readAnchors(paths);
  if (pile.anchors.length + pile.unreadable.length === 0) throw noAnchors(paths);
  const { trust, countersignature, files } = await believed(options);
  const ledger = files === null ? null : await openAtHand(files, options);
  try {
    const verdict = judgeAnchors(pile, ledger === null ? trust : trustAfter(trust, ledger.report), ledger);
    const about = countersignature === null ? {} : { countersignature };
    if (options.json) printJson({ ...document(verdict), ...about });
    else print(renderVerdict(verdict, countersignature));
    endWith(verdict.code);
  } finally {
    ledger?.tree?.close();
    ledger?.against?.close();
  }
}

/** Whose signatures count, and the ledger to hold the anchors against; with a trust file alone there is none. */
async function believed(options: AnchorVerifyOptions) {
  const { trust: path, ledger, tiles, against } = options;
  if (path !== undefined && ledger === undefined && tiles === undefined) {
    if (against !== undefined) throw nothingToCompare();
    const { trust, countersignature } = await readJudgedTrust(path, options);
    return { trust: logTrust(trust), countersignature, files: null };
  }
  const files = await filesOf(options);
  return { trust: files.trust, countersignature: files.countersignature, files };
}

/** Verified by itself first: anchors are held against its tree, and only that tells whether the entries are in it. */
async function openAtHand(files: VerifiedFiles, options: AnchorVerifyOptions): Promise<LedgerAtHand> {
  const path = options.tiles ?? files.ledgerPath;
  const progress = process.stderr.isTTY === true && options.json !== true ? showProgress : undefined;
  const report = await verifyFiles(path, files, progress);
  if (progress !== undefined) process.stderr.write('\r\u001b[K');
  const trust = trustAfter(files.trust, report);
  const against = options.against === undefined ? null : openTree(options.against, trust);
  return { path, origin: trust.origin, report, tree: tryOpen(path, trust), against };
}

/** Null for a ledger that is too broken to be compared; its own verification says why. */
function tryOpen(path: string, trust: VerifiedFiles['trust']) {
  try {
    return openTree(path, trust);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function document(verdict: AnchorVerdict) {
  const { code, logs, refused, ledger } = verdict;
  return {
    code,
    logs: logs.map(logDocument),
    refused,
    ledger:
      ledger === null
        ? null
        : {
            path: ledger.path,
            origin: ledger.origin,
            entries: ledger.entries,
            code: ledger.report.code,
            findings: ledger.report.findings,
            ...(ledger.report.followed === undefined ? {} : { followed: ledger.report.followed }),
            ...(ledger.difference === undefined ? {} : { against: ledger.difference }),
          },
  };
}

function logDocument({ origin, code, anchors, pile, comparison, closed }: LogVerdict) {
  const { newest, heads, fork, unproven, unlinked } = pile;
  return {
    origin,
    code,
    anchors,
    heads: heads.length,
    newest: headDocument(newest),
    fork,
    unproven,
    unlinked: unlinked.map(headDocument),
    comparison:
      comparison === null
        ? null
        : { ...comparison, ahead: comparison.ahead === null ? null : headDocument(comparison.ahead) },
    ...(closed === null
      ? {}
      : { closed: { ...closed, lost: closed.lost === null ? null : headDocument(closed.lost) } }),
  };
}

function showProgress(done: number, total: number): void {
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  process.stderr.write(`\rverifying ${percent} % of ${count(total, 'entry', 'entries')}`);
}

function noAnchors(paths: readonly string[]): BoundaryError {
  return new BoundaryError(
    'anchor.none',
    `There are no anchors in ${paths.join(', ')}; nothing was verified. Their files are called *.anchor; on a stick they lie in holdfast-anchors/.`,
  );
}

function nothingToCompare(): BoundaryError {
  return new BoundaryError(
    'option.against',
    'Say which ledger to compare with --against: give --ledger or --tiles too. Nothing was verified.',
  );
}
