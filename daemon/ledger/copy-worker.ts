import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { currentLog } from '../formats/log-keys.ts';
import { readLineage } from '../host/log-lineage.ts';
import { stepBack } from '../host/thread-rank.ts';
import { type CopyJob, type CopyReport, copyRound } from './second-copy.ts';
import type { VerifyReport } from './verify.ts';
import { verifyTileDirectory } from './verify-tiles.ts';

/*
 * The thread that keeps the second copy: its own connection to the ledger, of low priority. Copies when told that the
 * ledger grew; looks at the medium once a minute when nothing happens.
 */

/** Main → worker. `stop`: bring the copy up to date once more, then end. */
export type ToCopier = 'grew' | 'verify' | 'stop';

/** Worker → main. */
export type FromCopier =
  | { report: CopyReport }
  | { verified: Pick<VerifyReport, 'code' | 'entries' | 'total' | 'findings'> }
  | { unverified: string };

/** A round takes at most so large a part of the time, so that a busy site has the rest. */
const SHARE = 0.1;
const SHORTEST_PAUSE_MS = 500;
const LOOK_AGAIN_MS = 60_000;
/** After a failure: a disk that is put back should not wait long. */
const RETRY_MS = 5_000;
/** A whole verification yields so often, and for so long, that it takes a fraction of one processor. */
const POLITE_BUNDLES = 16;
const POLITE_MS = 20;

const job = workerData as CopyJob;
let due: NodeJS.Timeout | null = null;
let dueAt = Number.POSITIVE_INFINITY;
let restedAt = 0;
let verifying = false;

stepBack();
parentPort?.on('message', (message: ToCopier) => {
  if (message === 'stop') finish();
  else if (message === 'verify') void verify();
  else schedule(SHORTEST_PAUSE_MS);
});
round();

/** The earliest wish counts, but none before this thread has rested. */
function schedule(ms: number): void {
  const now = performance.now();
  const at = Math.max(now + ms, restedAt);
  if (at >= dueAt) return;
  if (due !== null) clearTimeout(due);
  dueAt = at;
  due = setTimeout(round, at - now);
}

function round(): void {
  due = null;
  dueAt = Number.POSITIVE_INFINITY;
  const started = performance.now();
  const { state } = post(copyRound(job));
  const ended = performance.now();
  const took = ended - started;
  // Catching up takes half of the time, so that it ends; following a busy site takes less.
  const share = state === 'behind' ? 1 / 2 : SHARE;
  restedAt = ended + took / share - took;
  schedule(state === 'behind' ? 0 : state === 'current' ? LOOK_AGAIN_MS : RETRY_MS);
}

function post(report: CopyReport): CopyReport {
  parentPort?.postMessage({ report } satisfies FromCopier);
  return report;
}

async function verify(): Promise<void> {
  if (verifying) return;
  verifying = true;
  let bundles = 0;
  try {
    const { origin, keys } = currentLog(readLineage(job.trustPath));
    const { code, entries, total, findings } = await verifyTileDirectory({
      directory: job.directory,
      trust: { origin, vkeys: keys },
      pause: async () => {
        if (++bundles % POLITE_BUNDLES === 0) await pause(POLITE_MS);
      },
    });
    const verified = { code, entries, total, findings: findings.slice(0, 5) };
    parentPort?.postMessage({ verified } satisfies FromCopier);
  } catch (error) {
    const unverified = error instanceof Error ? error.message : String(error);
    parentPort?.postMessage({ unverified } satisfies FromCopier);
  } finally {
    verifying = false;
  }
}

function finish(): void {
  if (due !== null) clearTimeout(due);
  let state = post(copyRound(job)).state;
  while (state === 'behind') state = post(copyRound(job)).state;
  parentPort?.close();
  // A verification that is under way has nobody left to tell.
  process.exit(0);
}
