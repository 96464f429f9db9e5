import { BoundaryError } from '../formats/boundary-error.ts';
import { startThread } from '../host/thread.ts';
import type { GoodUpdate, JudgeJob, Judgement } from './judge.ts';
import { notAccepted } from './update-failure.ts';

/** Worker → main: perhaps the first, then one of the others. */
export type FromJudge =
  | { good: GoodUpdate }
  | { judgement: Judgement }
  | { refused: { code: string; message: string; at: string | undefined } };

/** What an update may make the thread take, beside files: far more than the largest good one does. */
const HEAP_MB = 512;

/**
 * `judgeUpdate` on a thread of its own, of low priority: neither sockets nor engine wait for it, and whatever an update
 * makes it take is gone when it ends. Throws as `judgeUpdate` does.
 */
export async function judgeAside(job: JudgeJob, onGood: (update: GoodUpdate) => void): Promise<Judgement> {
  const { promise, resolve, reject } = Promise.withResolvers<Judgement>();
  const worker = startThread(new URL('./judge-worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  worker.on('message', (message: FromJudge) => {
    if ('good' in message) onGood(message.good);
    else if ('judgement' in message) resolve(message.judgement);
    else reject(refusal(message.refused));
  });
  worker.once('error', (error) => reject(failure(error)));
  worker.once('exit', (code) =>
    reject(new Error(`the thread that judges an update ended with code ${code}`)),
  );
  try {
    return await promise;
  } finally {
    await worker.terminate();
  }
}

function refusal({ code, message, at }: { code: string; message: string; at: string | undefined }): Error {
  return new BoundaryError(code, message, at === undefined ? {} : { at });
}

function failure(error: unknown): Error {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return notAccepted('update.too_large', 'it takes more memory than any update of ours does', error);
  return error instanceof Error ? error : new Error(String(error));
}
