import { existsSync } from 'node:fs';
import { checkProjectionsAside } from '../engine/projection-aside.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { LogKey, LogLineage } from '../formats/log-keys.ts';
import type { VerifyReport } from '../ledger/verify.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { verifyTileDirectory } from '../ledger/verify-tiles.ts';
import { openSite, type Site } from './access.ts';
import {
  type Countersignature,
  countersignatureWords,
  readJudgedTrust,
  type TrustOptions,
} from './countersignature.ts';
import { endWith } from './exit.ts';
import { followedWords, renderFindings } from './render/findings.ts';
import { print, printJson } from './render/output.ts';
import { count, paint, plain, rows, type Style } from './render/text.ts';
import { trustOf } from './site.ts';
import { logTrust } from './trust.ts';

/** Which files are checked, and by whose keys. */
export interface VerifyOptions extends TrustOptions {
  ledger?: string;
  /** A tile directory instead of a database. */
  tiles?: string;
  head?: string;
  /** Where archive files lie, if not beside the ledger. */
  archive?: string;
}

/** The files, and what they are held against. */
export interface VerifiedFiles {
  ledgerPath: string;
  headPath?: string;
  trust: { origin: string; vkeys: LogKey[]; logs: LogLineage[] };
  /** Null where no trust file is used. */
  countersignature: Countersignature | null;
  /** The site's own files are read where they lie, also while the daemon writes them; a copy is never touched. */
  inPlace: boolean;
}

/** Below this the time is that of starting threads, and a rate would mislead. */
const WORTH_A_RATE = 10_000;

/** Verifies the site's ledger, or a copied one, and says what was found; ends with the verification's exit code. */
export async function verifyAndReport(options: VerifyOptions): Promise<void> {
  const files = await filesOf(options);
  const started = performance.now();
  const progress = process.stderr.isTTY === true && options.json !== true ? showProgress : undefined;
  const onProgress = progress === undefined ? {} : { onProgress: progress };
  const report =
    options.tiles === undefined
      ? await verifyLedger({
          ...files,
          ...archiveOf(options.archive),
          projectionChecks: checkProjectionsAside,
          ...onProgress,
        })
      : await verifyTileDirectory({ ...files, directory: options.tiles, ...onProgress });
  if (progress !== undefined) process.stderr.write('\r\u001b[K');
  const seconds = (performance.now() - started) / 1000;
  const { ledgerPath: ledger, countersignature } = files;
  const about = { ledger, ...(countersignature === null ? {} : { countersignature }) };
  if (options.json) printJson({ ...report, ...about, seconds: Number(seconds.toFixed(3)) });
  else print(render(report, files, seconds));
  endWith(report.code);
}

/**
 * A copied ledger is judged by what came with it: the site's own head store says nothing about another file. Where something
 * else was `carried` here, such as anchors, what is missing is trust too when there is no site.
 */
export async function filesOf(options: VerifyOptions, carried = false): Promise<VerifiedFiles> {
  if (options.tiles !== undefined && options.ledger !== undefined) {
    throw new BoundaryError(
      'verify.both',
      'Give either --ledger or --tiles, not both; nothing was verified.',
    );
  }
  for (const named of [options.ledger, options.tiles, options.head, options.archive])
    if (named !== undefined) assertThere(named);
  const judged = options.trust === undefined ? null : await readJudgedTrust(options.trust, options);
  const countersignature = judged?.countersignature ?? null;
  const copied = options.tiles ?? options.ledger;
  if (copied !== undefined && judged !== null) {
    const trust = logTrust(judged.trust);
    return { ledgerPath: copied, trust, countersignature, inPlace: false, ...headOf(options.head) };
  }
  const site = siteOf(options, carried || copied !== undefined);
  const trust = logTrust(judged?.trust ?? trustOf(site));
  const inPlace = copied === undefined;
  const head = options.head ?? (inPlace ? site.paths.head : undefined);
  const ledgerPath = copied ?? site.paths.ledger;
  return { ledgerPath, trust, countersignature, inPlace, ...headOf(head) };
}

/** The site whose keys are believed. An auditor with a copy has none: what is missing then is trust, not a site. */
function siteOf(options: VerifyOptions, carried: boolean): Site {
  try {
    return openSite(options);
  } catch (cause) {
    if (!carried || !(cause instanceof BoundaryError) || cause.code !== 'site.not_found') throw cause;
    throw new BoundaryError(
      'trust.missing',
      'Nothing says which keys to believe: give --trust FILE (from "holdfast site export-trust" at the site). Nothing was verified.',
      { cause },
    );
  }
}

/** A file that was named and is not there is a slip of the pen, not a finding. */
export function assertThere(path: string): void {
  if (!existsSync(path)) {
    throw new BoundaryError('file.missing', `${path} does not exist; nothing was verified.`, { at: path });
  }
}

function headOf(path: string | undefined): { headPath?: string } {
  return path === undefined ? {} : { headPath: path };
}

function archiveOf(path: string | undefined): { archiveDir?: string } {
  return path === undefined ? {} : { archiveDir: path };
}

function showProgress(done: number, total: number): void {
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  process.stderr.write(`\rverifying ${percent} % of ${count(total, 'entry', 'entries')}`);
}

const WORDS: Record<number, [word: string, style: Style, meaning: string]> = {
  0: ['INTACT', 'green', 'Every entry, chain, tree node and checkpoint matches.'],
  10: [
    'TAMPERED',
    'red',
    'Something was changed after it was recorded. Keep a copy of the files; do not rely on what is named below.',
  ],
  11: [
    'TORN TAIL',
    'yellow',
    'A crash cut the last write short, above the last stored checkpoint. Nothing acknowledged is missing.',
  ],
  12: [
    'INTACT, NOT YET COVERED',
    'yellow',
    'The newest entries are not yet under a checkpoint. Verify again in a moment.',
  ],
  13: ['UNKNOWN KEY', 'red', 'A checkpoint is signed by a key that is not (or no longer) trusted here.'],
  14: [
    'ROLLED BACK',
    'red',
    'History ends before a checkpoint that is known from elsewhere: an older copy was put back, or the end was cut off.',
  ],
};

/** Findings after which nothing else is looked at. */
const WRONG_FILE: Readonly<Record<string, string>> = { trust: 'ANOTHER LEDGER', kind: 'NOT A LEDGER' };

function render(
  report: VerifyReport,
  { ledgerPath, trust, countersignature }: VerifiedFiles,
  seconds: number,
): string {
  const [word, style, meaning] = WORDS[report.code] ?? [
    'UNEXPECTED',
    'red',
    `The verifier answered ${report.code}.`,
  ];
  const rate =
    report.entries >= WORTH_A_RATE
      ? ` (${count(Math.round(report.entries / seconds), 'entry', 'entries')}/s)`
      : '';
  const lines = [
    `${paint(style, paint('bold', word))}  ${meaning}`,
    rows([
      ['file', plain(ledgerPath)],
      ['origin', originWords(report, trust)],
      ['keys', followedWords(report)],
      ['trust', countersignature === null ? '' : countersignatureWords(countersignature)],
      ['entries', report.entries.toLocaleString('en-US')],
      ['took', `${seconds.toFixed(2)} s${rate}`],
    ]),
  ];
  lines.push(...archiveWords(report));
  const [only] = report.findings;
  // The rest was not looked at: one sentence says it all.
  const wrongFile = only === undefined ? undefined : WRONG_FILE[only.what];
  if (only !== undefined && wrongFile !== undefined)
    return `${paint(style, paint('bold', wrongFile))}  ${plain(only.detail)}`;
  if (report.findings.length > 0) lines.push('', renderFindings(report));
  return lines.join('\n');
}

function originWords({ origin }: VerifyReport, trust: VerifiedFiles['trust']): string {
  const next = trust.logs.find(({ succeeds }) => origin !== undefined && succeeds?.origin === origin);
  if (origin === undefined || next === undefined) return plain(origin ?? trust.origin);
  return `${plain(origin)}, closed at ${next.succeeds?.size} entries; ${plain(next.origin)} goes on for it`;
}

/** Files that are named one by one. */
const ELSEWHERE_SHOWN = 5;

/** What was archived, and what of it could be checked by its hashes only. */
function archiveWords({ archive }: VerifyReport): string[] {
  if (archive === undefined) return [];
  const { segments, entries, elsewhere } = archive;
  const lines = [
    `  ${count(entries, 'entry', 'entries')} of ${count(segments, 'segment')} lie in archive files${elsewhere.length === 0 ? ', all of them here and read.' : '.'}`,
  ];
  for (const { first, until, file, to } of elsewhere.slice(0, ELSEWHERE_SHOWN)) {
    lines.push(
      `  Entries ${first} to ${until - 1} are elsewhere (${plain(to)}), in ${file}: only their hashes were checked.`,
    );
  }
  const more = elsewhere.length - ELSEWHERE_SHOWN;
  if (more > 0) lines.push(`  … and ${count(more, 'more file')} elsewhere.`);
  if (elsewhere.length > 0)
    lines.push(
      '  Ask for these files; text that nobody can bring is gone, whatever the record says. With them at hand:',
      '    holdfast ledger verify --archive DIRECTORY',
    );
  return lines;
}
