import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { startThread } from '../host/thread.ts';
import type { Database } from './database.ts';
import type { Finding } from './finding.ts';
import type { StreamMarks } from './stream-marks.ts';
import { EntryRows } from './verify-archive.ts';
import {
  type LedgerTrust,
  pageDefects,
  type Range,
  type RangeResult,
  RangeVerifier,
} from './verify-range.ts';
import type { VerifyTask, VerifyWorkerData } from './verify-worker.ts';

/** A multiple of 256; small enough that threads end together and progress moves. */
const RANGE_ENTRIES = 16_384;
/** Below this many entries, starting threads costs more than they save. */
const WORTH_THREADS = 30_000;
const MAX_THREADS = 8;

export interface RangesJob {
  /** The main thread's own connection, with its snapshot pinned. */
  database: Database;
  size: number;
  trust: LedgerTrust;
  marks: StreamMarks;
  /** Where archive files lie. */
  archive: string;
  threads: number | undefined;
  acceptPages(findings: readonly Finding[]): void;
  /** Called with the results in order of the ranges. */
  accept(result: RangeResult, range: Range): void;
}

/** Verifies all ranges of `[0, size)`, on this thread or, for a large ledger, on others. */
export async function verifyRanges(job: RangesJob): Promise<void> {
  const ranges: Range[] = [];
  for (let from = 0; from < job.size; from += RANGE_ENTRIES) {
    ranges.push({ from, to: Math.min(from + RANGE_ENTRIES, job.size) });
  }
  const wanted = job.threads ?? (job.size < WORTH_THREADS ? 1 : availableParallelism());
  const threads = Math.min(wanted, MAX_THREADS, ranges.length);
  if (threads > 1) return onThreads(job, ranges, threads);
  job.acceptPages(pageDefects(job.database));
  const verifier = new RangeVerifier(
    job.database,
    job.trust,
    job.marks,
    new EntryRows(job.database, job.archive),
  );
  for (const range of ranges) job.accept(verifier.verify(range), range);
}

async function onThreads(job: RangesJob, ranges: readonly Range[], threads: number): Promise<void> {
  const workerData: VerifyWorkerData = {
    path: job.database.path,
    trust: job.trust,
    marks: job.marks.shared,
    archive: job.archive,
  };
  const workers = Array.from({ length: threads }, () =>
    startThread(new URL('./verify-worker.ts', import.meta.url), { workerData }),
  );
  const queue = ranges.entries();
  const early = new Map<number, RangeResult>();
  let accepted = 0;
  try {
    await Promise.all(
      workers.map(async (worker, first) => {
        if (first === 0) job.acceptPages(await ask<Finding[]>(worker, 'pages'));
        for (const [index, range] of queue) {
          early.set(index, await ask<RangeResult>(worker, range));
          for (let ready = early.get(accepted); ready !== undefined; ready = early.get(accepted)) {
            early.delete(accepted);
            job.accept(ready, ranges[accepted] ?? range);
            accepted++;
          }
        }
      }),
    );
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** One question to a thread at a time. Rejects when the thread fails instead of answering. */
function ask<Answer>(worker: Worker, task: VerifyTask): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const onExit = (code: number): void => reject(new Error(`verify: a thread ended with code ${code}`));
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', onExit);
  worker.postMessage(task);
  return promise.finally(() => {
    worker.off('message', resolve);
    worker.off('error', reject);
    worker.off('exit', onExit);
  });
}
