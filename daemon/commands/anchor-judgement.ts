import {
  type Comparison,
  compareWith,
  compareWithClosed,
  judgePile,
  type PileHead,
  type PileJudgement,
  type SignedAnchor,
} from '../core/anchor-pile.ts';
import { anchorHead } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner, openCheckpoint } from '../formats/checkpoint.ts';
import { fromHex } from '../formats/digest.ts';
import { type LogLineage, logOf } from '../formats/log-keys.ts';
import type { VerifyReport } from '../ledger/verify.ts';
import type { AnchorPile } from './anchor-files.ts';
import { firstDifference, type OpenedTree } from './anchor-ledger.ts';
import { EXIT } from './exit.ts';
import type { VerifiedFiles } from './ledger-verify.ts';

/** A file that counts for nothing, and which exit code that is. */
export interface RefusedAnchor {
  from: string;
  code: number;
  reason: string;
}

/** What one log's anchors say. */
export interface LogVerdict {
  origin: string;
  code: number;
  anchors: number;
  pile: PileJudgement;
  /** Against the ledger of this log; null when there is none, or it cannot be opened. */
  comparison: Comparison | null;
  /** The ledger of this log that they were held against. */
  heldAgainst: { path: string; entries: number } | null;
  /** The log whose ledger is at hand instead of this one's; null where there is none, or the right one. */
  beside: string | null;
  /** Of a log that another goes on for since a restore; null for all others. */
  closed: ClosedLog | null;
}

/** Where a log was closed, and what the anchors know beyond. */
export interface ClosedLog {
  size: number;
  /** The log that goes on for it. */
  by: string;
  /** The largest head behind it: what lies in between was lost. */
  lost: PileHead | null;
  /** Files that know another tree of that size. */
  other: string[];
  /** Whether the anchors alone show that what it was closed with continues them all. */
  linked: boolean;
}

export interface AnchorVerdict {
  code: number;
  logs: LogVerdict[];
  refused: RefusedAnchor[];
  /** The ledger that the anchors were held against; null when none was. */
  ledger: LedgerVerdict | null;
  /** Ledgers of logs that were closed, for anchors of these. */
  former: LedgerVerdict[];
}

export interface LedgerVerdict {
  path: string;
  origin: string;
  entries: number;
  /** What its own verification says. */
  report: VerifyReport;
  /** Index of the first entry that differs from the ledger given with --against; undefined when none was given. */
  difference?: { path: string; index: number | null };
  /** What the verification of that one says. */
  against?: { path: string; report: VerifyReport };
}

/** A ledger at hand: verified by itself, and opened where that was possible. */
export interface LedgerAtHand {
  path: string;
  origin: string;
  report: VerifyReport;
  tree: OpenedTree | null;
  /** The one to compare it with, verified by itself too: what its tree says, its entries need not. */
  against: { path: string; report: VerifyReport; tree: OpenedTree | null } | null;
}

/** The worse of what was found stands for all: changed, cut off, by whom, not linked, torn. */
const WORST_FIRST: readonly number[] = [
  EXIT.tampered,
  EXIT.rolledBack,
  EXIT.unknownKey,
  EXIT.uncovered,
  EXIT.torn,
  EXIT.done,
];

/** Judges a pile: signatures first, then each log's anchors against each other, then against that log's ledger. */
export function judgeAnchors(
  { anchors, unreadable }: AnchorPile,
  trust: VerifiedFiles['trust'],
  ledger: LedgerAtHand | null,
  former: readonly LedgerAtHand[] = [],
): AnchorVerdict {
  const refused: RefusedAnchor[] = unreadable.map(({ from, message }) => ({
    from,
    code: EXIT.tampered,
    reason: message,
  }));
  const signed = anchors.filter((one) => {
    const wrong = refusalOf(one, trust, ledger);
    if (wrong !== null) refused.push(wrong);
    return wrong === null;
  });
  const byLog = Map.groupBy(signed, ({ anchor }) => anchorHead(anchor).origin);
  const atHand = [...(ledger === null ? [] : [ledger]), ...former];
  const logs = [...byLog].map(([origin, pile]) =>
    judgeLog(origin, pile, { atHand, closed: closureOf(trust.logs, origin, pile) }),
  );
  const codes = [...logs, ...refused].map(({ code }) => code);
  const ledgerVerdict = ledger === null ? null : ledgerVerdictOf(ledger);
  const formerVerdicts = former.map(ledgerVerdictOf);
  codes.push(...formerVerdicts.map(({ report }) => report.code));
  if (ledgerVerdict !== null) {
    codes.push(ledgerVerdict.report.code, ledgerVerdict.against?.report.code ?? EXIT.done);
    if ((ledgerVerdict.difference?.index ?? null) !== null) codes.push(EXIT.tampered);
  }
  return {
    code: WORST_FIRST.find((code) => codes.includes(code)) ?? EXIT.done,
    logs,
    refused,
    ledger: ledgerVerdict,
    former: formerVerdicts,
  };
}

/** Null when the log signed it with a key that could sign it then. */
function refusalOf(
  { from, anchor }: SignedAnchor,
  trust: VerifiedFiles['trust'],
  ledger: LedgerAtHand | null,
): RefusedAnchor | null {
  const { origin } = anchorHead(anchor);
  const log = logOf(trust.logs, origin);
  if (log === null) {
    const reason = `It is of the log ${origin}, which the trust file does not name.`;
    return { from, code: EXIT.unknownKey, reason };
  }
  try {
    openCheckpoint(anchor.checkpoint, { origin, vkeys: log.keys });
    return null;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const code = isUnknownSigner(error) ? EXIT.unknownKey : EXIT.tampered;
    const hint = isChanged(error, log) ? ` ${changedWords(ledger)}` : '';
    return { from, code, reason: `${error.message}${hint}` };
  }
}

/** Whether another key that is not known yet may have signed, because the log's key was changed. */
function isChanged({ code }: BoundaryError, { keys }: LogLineage): boolean {
  return code === 'note.no_known_signature' && keys.some(({ until }) => until === null);
}

function changedWords(ledger: LedgerAtHand | null): string {
  const said = 'The site may have changed its key since: then a newer trust file says so';
  return ledger === null
    ? `${said}, or a copy of its ledger (--ledger).`
    : `${said}; no key that yours names vouches for it in this ledger.`;
}

function judgeLog(
  origin: string,
  pile: readonly SignedAnchor[],
  { atHand, closed }: { atHand: readonly LedgerAtHand[]; closed: ClosedLog | null },
): LogVerdict {
  const judged = judgePile(pile);
  const own = atHand.find((ledger) => ledger.origin === origin);
  const tree = own?.tree ?? null;
  const comparison = tree === null ? null : readable(own, () => compareWith(tree, pile));
  const heldAgainst = tree === null || comparison === null ? null : { path: tree.path, entries: tree.size };
  const beside = own === undefined ? (atHand[0]?.origin ?? null) : null;
  const code = codeOf({ pile: judged, comparison, closed, beside });
  return { origin, code, anchors: pile.length, pile: judged, comparison, closed, heldAgainst, beside };
}

/** What the lineage says of a log that was left behind by a restore. */
function closureOf(
  logs: readonly LogLineage[],
  origin: string,
  pile: readonly SignedAnchor[],
): ClosedLog | null {
  const next = logs.find(({ succeeds }) => succeeds?.origin === origin);
  if (next?.succeeds === undefined) return null;
  const { size, root } = next.succeeds;
  return { size, by: next.origin, ...compareWithClosed({ size, root: fromHex(root) }, pile) };
}

function codeOf({
  pile: { fork, unproven, unlinked },
  comparison,
  closed,
  beside,
}: Pick<LogVerdict, 'pile' | 'comparison' | 'closed' | 'beside'>): number {
  const diverges = comparison !== null && comparison.diverges !== null;
  const other = closed !== null && closed.other.length > 0;
  if (fork !== null || unproven.length > 0 || diverges || other) return EXIT.tampered;
  const ahead = comparison !== null && comparison.ahead !== null;
  if (ahead || (closed !== null && closed.lost !== null)) return EXIT.rolledBack;
  // A ledger links what the pile itself does not.
  if (comparison !== null) return EXIT.done;
  if (unlinked.length > 0 || closed?.linked === false) return EXIT.uncovered;
  // What a closed log ended with is known; of any other, the ledger that was given is the wrong one.
  return beside !== null && closed === null ? EXIT.uncovered : EXIT.done;
}

function ledgerVerdictOf({ path, origin, report, tree, against }: LedgerAtHand): LedgerVerdict {
  const verdict: LedgerVerdict = { path, origin, entries: tree?.size ?? report.entries, report };
  if (against === null) return verdict;
  const both = { ...verdict, against: { path: against.path, report: against.report } };
  const other = against.tree;
  if (tree === null || other === null) return both;
  const found = readable({ report }, () => readable(against, () => [firstDifference(tree, other)]));
  return found === null ? both : { ...both, difference: { path: against.path, index: found[0] ?? null } };
}

/** Null where a ledger that does not verify cannot even be read: its verification says so. */
function readable<T>(ledger: Pick<LedgerAtHand, 'report'> | undefined, read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (ledger === undefined || ledger.report.code === EXIT.done || !(error instanceof Error)) throw error;
    return null;
  }
}

/** Heads as JSON has them. */
export function headDocument({ size, root, signed }: PileHead) {
  return { size, root: Buffer.from(root).toString('hex'), files: signed };
}
