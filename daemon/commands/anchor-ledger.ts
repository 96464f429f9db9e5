import { statSync } from 'node:fs';
import type { ComparedTree } from '../core/anchor-pile.ts';
import { equalBytes } from '../formats/digest.ts';
import { keysOfLogs } from '../formats/log-keys.ts';
import { viewLedger } from '../ledger/open.ts';
import { TileReader } from '../ledger/tile-reader.ts';
import type { VerifyReport } from '../ledger/verify.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { verifyTileDirectory } from '../ledger/verify-tiles.ts';
import type { VerifiedFiles } from './ledger-verify.ts';

/** A ledger, as a database or as a tile directory, opened to be compared. */
export interface OpenedTree extends ComparedTree {
  path: string;
  close(): void;
}

type Trust = VerifiedFiles['trust'];

/** Opens a ledger for comparing; what is wrong inside of it is for `verifyFiles`. Throws the errors of `viewLedger` and `TileReader.open`. */
export function openTree(path: string, trust: Trust): OpenedTree {
  if (isDirectory(path)) {
    const tiles = TileReader.open(path, trust);
    return {
      path,
      size: tiles.head.size,
      rootAt: (size) => tiles.root(size),
      proofBetween: (old, size) => tiles.consistencyProof(old, size),
      close: () => {},
    };
  }
  const view = viewLedger(path, trust);
  return {
    path,
    size: view.size,
    rootAt: (size) => view.root(size),
    proofBetween: (old, size) => view.consistencyProof(old, size),
    close: () => view.close(),
  };
}

/** Whether the entries of a ledger are what its own tree says: anchors are only held against the tree. */
export function verifyFiles(
  path: string,
  files: Pick<VerifiedFiles, 'trust' | 'inPlace' | 'headPath'>,
  onProgress?: (done: number, total: number) => void,
): Promise<VerifyReport> {
  const options = { ...files, ...(onProgress === undefined ? {} : { onProgress }) };
  if (isDirectory(path)) return verifyTileDirectory({ ...options, directory: path });
  return verifyLedger({ ...options, ledgerPath: path });
}

/**
 * Whom to believe about anchors after the ledger was verified: also the keys that those of the trust file vouch for in it. A
 * key that was changed still counts for all sizes, as it does without the ledger: a ledger that a thief of that key made up
 * must not be able to say that an anchor counts for nothing.
 */
export function trustAfter(trust: Trust, { origin = trust.origin, followed = [] }: VerifyReport): Trust {
  const logs = trust.logs.map((log) =>
    log.origin === origin ? { ...log, keys: [...log.keys, ...followed] } : log,
  );
  return { origin, vkeys: keysOfLogs(logs), logs };
}

/**
 * Index of the first entry in which two ledgers differ; null when the shorter is the beginning of the longer. Trees that
 * agree on a size agree on all smaller ones, so halving finds it.
 */
export function firstDifference(one: ComparedTree, other: ComparedTree): number | null {
  const same = (size: number): boolean => size === 0 || equalBytes(one.rootAt(size), other.rootAt(size));
  const common = Math.min(one.size, other.size);
  if (same(common)) return null;
  let [agree, differ] = [0, common];
  while (differ - agree > 1) {
    const middle = Math.floor((agree + differ) / 2);
    if (same(middle)) agree = middle;
    else differ = middle;
  }
  return agree;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
