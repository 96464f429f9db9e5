import {
  type Comparison,
  compareWith,
  judgePile,
  type PileHead,
  type PileJudgement,
  type SignedAnchor,
} from '../core/anchor-pile.ts';
import { anchorHead } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner, openCheckpoint } from '../formats/checkpoint.ts';
import { logOf } from '../formats/log-keys.ts';
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
  /** Against the ledger; null when there is none of this log, or it cannot be opened. */
  comparison: Comparison | null;
}

export interface AnchorVerdict {
  code: number;
  logs: LogVerdict[];
  refused: RefusedAnchor[];
  /** The ledger that the anchors were held against; null when none was. */
  ledger: LedgerVerdict | null;
}

export interface LedgerVerdict {
  path: string;
  origin: string;
  entries: number;
  /** What its own verification says. */
  report: VerifyReport;
  /** Index of the first entry that differs from the ledger given with --against; undefined when none was given. */
  difference?: { path: string; index: number | null };
}

/** A ledger at hand: verified by itself, and opened where that was possible. */
export interface LedgerAtHand {
  path: string;
  origin: string;
  report: VerifyReport;
  tree: OpenedTree | null;
  against: OpenedTree | null;
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

/** Judges a pile: signatures first, then each log's anchors against each other, then against the ledger. */
export function judgeAnchors(
  { anchors, unreadable }: AnchorPile,
  trust: VerifiedFiles['trust'],
  ledger: LedgerAtHand | null,
): AnchorVerdict {
  const refused: RefusedAnchor[] = unreadable.map(({ from, message }) => ({
    from,
    code: EXIT.tampered,
    reason: message,
  }));
  const signed = anchors.filter((one) => {
    const wrong = refusalOf(one, trust);
    if (wrong !== null) refused.push(wrong);
    return wrong === null;
  });
  const byLog = Map.groupBy(signed, ({ anchor }) => anchorHead(anchor).origin);
  const logs = [...byLog].map(([origin, pile]) =>
    judgeLog(origin, pile, ledger?.origin === origin ? ledger.tree : null),
  );
  const codes = [...logs, ...refused].map(({ code }) => code);
  const ledgerVerdict = ledger === null ? null : ledgerVerdictOf(ledger);
  if (ledgerVerdict !== null) {
    codes.push(ledgerVerdict.report.code);
    if ((ledgerVerdict.difference?.index ?? null) !== null) codes.push(EXIT.tampered);
  }
  return {
    code: WORST_FIRST.find((code) => codes.includes(code)) ?? EXIT.done,
    logs,
    refused,
    ledger: ledgerVerdict,
  };
}

/** Null when the log signed it with a key that could sign it then. */
function refusalOf({ from, anchor }: SignedAnchor, trust: VerifiedFiles['trust']): RefusedAnchor | null {
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
    return { from, code, reason: error.message };
  }
}

function judgeLog(origin: string, pile: readonly SignedAnchor[], tree: OpenedTree | null): LogVerdict {
  const judged = judgePile(pile);
  const comparison = tree === null ? null : compareWith(tree, pile);
  return {
    origin,
    code: codeOf(judged, comparison),
    anchors: pile.length,
    pile: judged,
    comparison,
  };
}

function codeOf({ fork, unproven, unlinked }: PileJudgement, comparison: Comparison | null): number {
  if (fork !== null || unproven.length > 0 || (comparison !== null && comparison.diverges !== null))
    return EXIT.tampered;
  if (comparison !== null && comparison.ahead !== null) return EXIT.rolledBack;
  // A ledger links what the pile itself does not.
  return comparison === null && unlinked.length > 0 ? EXIT.uncovered : EXIT.done;
}

function ledgerVerdictOf({ path, origin, report, tree, against }: LedgerAtHand): LedgerVerdict {
  const verdict: LedgerVerdict = { path, origin, entries: tree?.size ?? report.entries, report };
  if (tree === null || against === null) return verdict;
  return { ...verdict, difference: { path: against.path, index: firstDifference(tree, against) } };
}

/** Heads as JSON has them. */
export function headDocument({ size, root, signed }: PileHead) {
  return { size, root: Buffer.from(root).toString('hex'), files: signed };
}
