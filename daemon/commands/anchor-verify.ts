import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { VerifyReport } from '../ledger/verify.ts';
import { readAnchors } from './anchor-files.ts';
import {
  type AnchorVerdict,
  headDocument,
  judgeAnchors,
  type LedgerAtHand,
  type LedgerVerdict,
  type LogVerdict,
} from './anchor-judgement.ts';
import { openTree, trustAfter, verifyFiles } from './anchor-ledger.ts';
import { readJudgedTrust, withRootOption } from './countersignature.ts';
import { endWith } from './exit.ts';
import { assertThere, filesOf, type VerifiedFiles, type VerifyOptions } from './ledger-verify.ts';
import { renderVerdict } from './render/anchor.ts';
import { print, printJson } from './render/output.ts';
import { count } from './render/text.ts';
import { logTrust } from './trust.ts';

interface AnchorVerifyOptions extends VerifyOptions {
  against?: string;
  former?: string[];
}

const HELP = `
FILE is an anchor, a directory of them (a stick, say), or QR codes as pictures or text; in any order, twice is fine. A permit
file or a receipt that somebody kept will do too: each carries a signed tree head.
Without --trust the site at hand is believed, and its own ledger is what the anchors are held against. With --trust they
are held against --ledger or --tiles, and against each other alone when neither is given.
A log that was closed by a restore has a ledger of its own, --former: at the site those in state/former/ are looked at.

Examples:
  holdfast anchor verify /media/stick/holdfast-anchors
  holdfast anchor verify a/*.anchor --trust site-trust.json --ledger copied.sqlite
  holdfast anchor verify a --trust site-trust.json --tiles left --against right     the first entry in which two ledgers differ

Exit codes: 0 one history · 10 two histories, or something was changed · 12 each anchor is good, but those in between that
  would link them are missing, or the ledger that they are of · 13 signed by an unknown or retired key, or of another log · 14 the ledger ends before an anchor`;

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
    .option('--former <path...>', 'ledgers or tile directories of logs that were closed by a restore')
    .option('--against <path>', 'another ledger or tile directory, to find the first entry that differs');
  return withRootOption(command).addHelpText('after', HELP).action(runVerify);
}

async function runVerify(paths: string[], options: AnchorVerifyOptions): Promise<void> {
  const pile = await readAnchors(paths);
  if (pile.anchors.length + pile.unreadable.length === 0) throw noAnchors(paths);
  const { trust, countersignature, files } = await believed(options);
  const ledgers: LedgerAtHand[] = [];
  try {
    const ledger = files === null ? null : await openAtHand(files, options);
    if (ledger !== null) ledgers.push(ledger);
    const former: LedgerAtHand[] = [];
    for (const path of formerOf(options, files)) former.push(await openFormer(path, trust));
    ledgers.push(...former);
    const believing = ledgers.reduce(
      (known, { report }) => ({ ...trustAfter(known, report), origin: trust.origin }),
      trust,
    );
    const verdict = judgeAnchors(pile, believing, ledger, former);
    const about = countersignature === null ? {} : { countersignature };
    if (options.json) printJson({ ...document(verdict), ...about });
    else print(renderVerdict(verdict, countersignature));
    endWith(verdict.code);
  } finally {
    for (const { tree, against } of ledgers) {
      tree?.close();
      against?.tree?.close();
    }
  }
}

/** Ledgers of closed logs: those that were named; at the site, those that its restores left behind. */
function formerOf({ former }: AnchorVerifyOptions, files: VerifiedFiles | null): string[] {
  for (const path of former ?? []) assertThere(path);
  if (former !== undefined || files === null || !files.inPlace) return former ?? [];
  const beside = join(dirname(files.ledgerPath), 'former');
  if (!existsSync(beside)) return [];
  return readdirSync(beside)
    .map((name) => join(beside, name, basename(files.ledgerPath)))
    .filter((path) => existsSync(path));
}

async function openOther(path: string, trust: VerifiedFiles['trust']) {
  assertThere(path);
  const report = await verifyFiles(path, { trust, inPlace: false });
  return { path, report, tree: tryOpen(path, trustAfter(trust, report), report) };
}

/** A closed log is no longer written: it is verified as a copy is. */
async function openFormer(path: string, trust: VerifiedFiles['trust']): Promise<LedgerAtHand> {
  const report = await verifyFiles(path, { trust, inPlace: false });
  const believed = trustAfter(trust, report);
  return {
    path,
    origin: report.origin ?? trust.origin,
    report,
    tree: tryOpen(path, believed, report),
    against: null,
  };
}

/** Whose signatures count, and the ledger to hold the anchors against; with a trust file alone there is none. */
async function believed(options: AnchorVerifyOptions) {
  const { trust: path, ledger, tiles, against } = options;
  if (path !== undefined && ledger === undefined && tiles === undefined) {
    if (against !== undefined) throw nothingToCompare();
    const { trust, countersignature } = await readJudgedTrust(path, options);
    return { trust: logTrust(trust), countersignature, files: null };
  }
  const files = await filesOf(options, options.dir === undefined);
  return { trust: files.trust, countersignature: files.countersignature, files };
}

/** Verified by itself first: anchors are held against its tree, and only that tells whether the entries are in it. */
async function openAtHand(files: VerifiedFiles, options: AnchorVerifyOptions): Promise<LedgerAtHand> {
  const path = options.tiles ?? files.ledgerPath;
  const progress = process.stderr.isTTY === true && options.json !== true ? showProgress : undefined;
  const report = await verifyFiles(path, files, progress);
  if (progress !== undefined) process.stderr.write('\r\u001b[K');
  const trust = trustAfter(files.trust, report);
  const against = options.against === undefined ? null : await openOther(options.against, trust);
  return { path, origin: trust.origin, report, tree: tryOpen(path, trust, report), against };
}

/** Null for a ledger that is too broken to be compared; its own verification says why. */
function tryOpen(path: string, trust: VerifiedFiles['trust'], report: VerifyReport) {
  try {
    return openTree(path, trust);
  } catch (error) {
    if (error instanceof BoundaryError || report.code !== 0) return null;
    throw error;
  }
}

function document(verdict: AnchorVerdict) {
  const { code, logs, refused, ledger, former } = verdict;
  return {
    code,
    logs: logs.map(logDocument),
    refused,
    ledger: ledger === null ? null : ledgerDocument(ledger),
    ...(former.length === 0 ? {} : { former: former.map(ledgerDocument) }),
  };
}

function ledgerDocument({ path, origin, entries, report, difference, against }: LedgerVerdict) {
  const { code, findings, followed } = report;
  return {
    path,
    origin,
    entries,
    code,
    findings,
    ...(followed === undefined ? {} : { followed }),
    ...(against === undefined
      ? {}
      : {
          against: {
            path: against.path,
            ...(difference === undefined ? {} : { index: difference.index }),
            code: against.report.code,
            findings: against.report.findings,
          },
        }),
  };
}

function logDocument({ origin, code, anchors, pile, comparison, heldAgainst, closed }: LogVerdict) {
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
    held_against: heldAgainst,
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
