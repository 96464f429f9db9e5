import type { KnownHead } from '../../backup/known-heads.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { toHex } from '../../formats/digest.ts';
import { decodeEntry } from '../../formats/entry.ts';
import type { LedgerReader } from '../../ledger/read.ts';

/** What the heads that are known elsewhere say about a restored ledger. */
export interface HeadJudgement {
  /** The largest head beyond what was restored; null when none is known. */
  beyond: KnownHead | null;
  /** A head at exactly what was restored. */
  exact: KnownHead | null;
  /** How many were held against it. */
  checked: number;
}

/**
 * Holds a restored ledger against every head that is known elsewhere. Throws `BoundaryError` `restore.other_history` when
 * one of them contradicts it.
 */
export function judgeHeads(view: LedgerReader, heads: readonly KnownHead[]): HeadJudgement {
  for (const { size, root, where } of heads) {
    if (size > view.size || toHex(view.root(size)) === root) continue;
    throw new BoundaryError(
      'restore.other_history',
      `The backup shows another history than ${where}: their first ${size} entries differ, and both are signed. Nothing was restored. Keep both as evidence: either the backup was altered by somebody who has the ledger's key, or the site has signed two histories.`,
      { at: where },
    );
  }
  const larger = heads.filter(({ size }) => size > view.size).sort((a, b) => b.size - a.size);
  return {
    beyond: larger[0] ?? null,
    exact: heads.find(({ size }) => size === view.size) ?? null,
    checked: heads.length,
  };
}

/** The words for a lost tail that nobody has accepted yet. Code `restore.lost`. */
export function lostTail(view: LedgerReader, { size, where }: KnownHead): BoundaryError {
  return new BoundaryError(
    'restore.lost',
    `The backup ends at ${view.size} entries, and ${where} proves that there were ${size}: entries ${view.size} to ${size - 1} (${size - view.size}) are missing. Nothing was restored. Find a newer backup, or complete it with the second copy (--with-copy DIR). If they are lost for good, say so with --accept-loss: the site then goes on in a new log, whose first entry says what is missing.`,
    { at: where },
  );
}

/**
 * Whether the same log may go on: its last entry says that the daemon stopped, and that very head is known elsewhere too.
 * Anything less, and something may have been signed after it. Throws `BoundaryError` `restore.not_at_head`.
 */
export function assertAtHead(view: LedgerReader, { exact, beyond }: HeadJudgement, hasKey: boolean): void {
  const last = view.entry(view.size - 1);
  const stopped = last !== null && decodeEntry(last).type === 'system.stopped';
  const why =
    beyond !== null
      ? `${beyond.where} knows a later head`
      : !stopped
        ? 'its last entry is not that the daemon stopped, so that more may have been signed'
        : exact === null
          ? 'neither a head store (--head) nor a second copy (--with-copy) ends exactly there'
          : hasKey
            ? null
            : 'the backup was made without keys';
  if (why === null) return;
  throw new BoundaryError(
    'restore.not_at_head',
    `The same log cannot go on: ${why}. Nothing was restored. Leave --same-log out: the site then goes on in a new log that names this one.`,
  );
}
