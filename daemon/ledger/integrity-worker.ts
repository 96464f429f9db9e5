import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { currentLog, keysOfLogs } from '../formats/log-keys.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { Finding } from './finding.ts';
import { type ChunkReport, IntegrityChecker } from './integrity.ts';
import { type IntegrityProgress, readProgress, writeProgress } from './integrity-progress.ts';

/** What the thread of the background check is started with. */
export interface IntegrityJob {
  ledger: string;
  archive: string;
  /** The site's trust directory. */
  trust: string;
  /** File that keeps the progress. */
  progress: string;
  entriesPerSecond: number;
}

/** Main → thread. */
export type ToIntegrity = 'pass' | 'stop';
/** Thread → main: where it is; what it found, after a second look. */
export type FromIntegrity = { progress: IntegrityProgress } | { findings: Finding[] };

const SAVE_MS = 30_000;
/** Between two looks for new entries. */
const IDLE_MS = 20_000;
/** Before the second look. */
const DOUBT_MS = 5_000;

const job = workerData as IntegrityJob;
let wake = new AbortController();
let stopping = false;
let renew = false;

parentPort?.on('message', (message: ToIntegrity) => {
  if (message === 'stop') stopping = true;
  else renew = true;
  wake.abort();
});

/** A pass over everything, then whatever is new, until the next pass is asked for. */
async function run(): Promise<void> {
  const checker = new IntegrityChecker(job.ledger, job.archive, () => {
    const logs = readLineage(job.trust);
    return { origin: currentLog(logs).origin, vkeys: keysOfLogs(logs) };
  });
  const { origin } = currentLog(readLineage(job.trust));
  let progress = readProgress(job.progress, origin) ?? begin(origin);
  let savedAt = 0;
  const tell = (durable: boolean): void => {
    parentPort?.postMessage({ progress } satisfies FromIntegrity);
    if (!durable && performance.now() - savedAt < SAVE_MS) return;
    writeProgress(job.progress, progress);
    savedAt = performance.now();
  };
  tell(false);
  while (!stopping) {
    if (renew) {
      renew = false;
      progress = { ...begin(origin), last: progress.last };
      await report(checker, () => checker.frame());
    }
    const started = performance.now();
    const looked = await lookAt(checker, progress.next);
    if (looked === null) {
      if (!progress.done) {
        progress = finished(progress);
        tell(true);
      }
      await pause(IDLE_MS);
      continue;
    }
    const { next, size, findings } = looked;
    const checked = next - firstOfTile(progress.next);
    progress = { ...progress, next, size, found: progress.found + findings.length };
    tell(false);
    await pause((1_000 * checked) / job.entriesPerSecond - (performance.now() - started));
  }
  tell(true);
  checker.close();
}

function begin(origin: string): IntegrityProgress {
  return {
    v: 1,
    origin,
    started_at: new Date().toISOString(),
    next: 0,
    size: 0,
    found: 0,
    done: false,
    last: null,
  };
}

/** A pass is over when it has reached the end; what comes later is looked at as it comes. */
function finished(progress: IntegrityProgress): IntegrityProgress {
  const { started_at, next, found } = progress;
  return {
    ...progress,
    done: true,
    last: { started_at, finished_at: new Date().toISOString(), entries: next, found },
  };
}

function firstOfTile(index: number): number {
  return index - (index % TILE_WIDTH);
}

/** The piece at `next`, from the start of its tile; null when nothing is new. */
async function lookAt(checker: IntegrityChecker, next: number): Promise<ChunkReport | null> {
  const from = firstOfTile(next);
  let looked = null as ChunkReport | null;
  await report(checker, () => {
    looked = checker.chunk(from);
    return looked?.findings ?? [];
  });
  return looked === null || looked.next <= next ? null : looked;
}

/**
 * Hands findings on, only if a second look some seconds later, with everything read anew, has them too: a key that was
 * changed a moment ago must not halt a site.
 */
async function report(checker: IntegrityChecker, look: () => Finding[]): Promise<void> {
  if (look().length === 0) return;
  await pause(DOUBT_MS);
  checker.reopen();
  const findings = look();
  if (findings.length > 0)
    parentPort?.postMessage({ findings: findings.slice(0, 20) } satisfies FromIntegrity);
}

async function pause(ms: number): Promise<void> {
  if (ms <= 0 || stopping || renew) return;
  wake = new AbortController();
  await sleep(ms, undefined, { signal: wake.signal }).catch(() => {});
}

await run();
parentPort?.close();
