import { Worker } from 'node:worker_threads';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JudgeJob, Judgement } from './judge.ts';
import { notAccepted } from './update-failure.ts';

/** Worker → main, once. */
export type FromJudge =
  | { judgement: Judgement }
  | { refused: { code: string; message: string; at: string | undefined } };

/** What an update may make the thread take, beside files: far more than the largest good one does. */
const HEAP_MB = 512;

/**
 * `judgeUpdate` on a thread of its own, of low priority: neither sockets nor engine wait for it, and whatever an update
 * makes it take is gone when it ends. Throws as `judgeUpdate` does.
 */
export async function judgeAside(job: JudgeJob): Promise<Judgement> {
  const { promise, resolve, reject } = Promise.withResolvers<FromJudge>();
  const worker = new Worker(new URL('./judge-worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  worker.once('message', resolve);
  worker.once('error', (error) => reject(failure(error)));
  worker.once('exit', (code) =>
    reject(new Error(`the thread that judges an update ended with code ${code}`)),
  );
  try {
    const answer = await promise;
    if ('judgement' in answer) return answer.judgement;
    const { code, message, at } = answer.refused;
    throw new BoundaryError(code, message, at === undefined ? {} : { at });
  } finally {
    await worker.terminate();
  }
}

function failure(error: unknown): Error {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return notAccepted('update.too_large', 'it takes more memory than any update of ours does', error);
  return error instanceof Error ? error : new Error(String(error));
}
