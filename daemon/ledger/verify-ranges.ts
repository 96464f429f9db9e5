import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Database } from './database.ts';
import type { StreamMarks } from './stream-marks.ts';
import { type LedgerTrust, type Range, type RangeResult, RangeVerifier } from './verify-range.ts';
import type { VerifyWorkerData } from './verify-worker.ts';

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
  threads: number | undefined;
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
  const verifier = new RangeVerifier(job.database, job.trust, job.marks);
  for (const range of ranges) job.accept(verifier.verify(range), range);
}

async function onThreads(job: RangesJob, ranges: readonly Range[], threads: number): Promise<void> {
  const workerData: VerifyWorkerData = {
    path: job.database.path,
    trust: job.trust,
    marks: job.marks.shared,
  };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./verify-worker.ts', import.meta.url), { workerData }),
  );
  const queue = ranges.entries();
  const early = new Map<number, RangeResult>();
  let accepted = 0;
  try {
    await Promise.all(
      workers.map(async (worker) => {
        for (const [index, range] of queue) {
          early.set(index, await ask(worker, range));
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

function ask(worker: Worker, range: Range): Promise<RangeResult> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void): void => {
      worker.removeAllListeners();
      done();
    };
    worker.once('message', (result: RangeResult) => settle(() => resolve(result)));
    worker.once('error', (error) => settle(() => reject(error)));
    worker.once('exit', (code) =>
      settle(() => reject(new Error(`verify: a thread ended with code ${code}`))),
    );
    worker.postMessage(range);
  });
}
