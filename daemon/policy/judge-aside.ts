import { BoundaryError } from '../formats/boundary-error.ts';
import { startThread } from '../host/thread.ts';
import type { GoodUpdate, JudgeJob, Judgement } from './judge.ts';
import { notAccepted } from './update-failure.ts';

/** Worker → main: perhaps the first, then one of the others. */
export type FromJudge =
  | { good: GoodUpdate }
  | { judgement: Judgement }
  | { refused: { code: string; message: string; at: string | undefined } };

/** What the thread is started with. */
export interface JudgeThreadJob {
  job: JudgeJob;
  /** Whether it runs only while nobody else wants to, or as one of them. */
  rank: 'aside' | 'back';
}

/** What an update may make the thread take, beside files: far more than the largest good one does. */
const HEAP_MB = 512;
/** Several times what the largest update takes where a processor is free now and then. */
const ASIDE_MS = 15_000;

/**
 * `judgeUpdate` on a thread of its own, which runs while nobody else wants to: neither sockets nor engine wait for it, and
 * whatever an update makes it take is gone when it ends. A machine that is busy all the time leaves such a thread next to
 * nothing, and an update may revoke a stolen key: one that is not judged within `asideMs` is judged anew by a thread that
 * competes, and `onGood` may hear of it again. Throws as `judgeUpdate` does.
 */
export async function judgeAside(
  job: JudgeJob,
  onGood: (update: GoodUpdate) => void,
  asideMs: number = ASIDE_MS,
): Promise<Judgement> {
  const aside = startJudge({ job, rank: 'aside' }, onGood);
  const timer = Promise.withResolvers<null>();
  const late = setTimeout(timer.resolve, asideMs, null);
  try {
    const judgement = await Promise.race([aside.judgement, timer.promise]);
    if (judgement !== null) return judgement;
  } finally {
    clearTimeout(late);
    await aside.end();
  }
  const competing = startJudge({ job, rank: 'back' }, onGood);
  try {
    return await competing.judgement;
  } finally {
    await competing.end();
  }
}

interface JudgeThread {
  judgement: Promise<Judgement>;
  /** Nothing of it is at work any more once this resolves. */
  end(): Promise<unknown>;
}

function startJudge(workerData: JudgeThreadJob, onGood: (update: GoodUpdate) => void): JudgeThread {
  const { promise, resolve, reject } = Promise.withResolvers<Judgement>();
  const worker = startThread(new URL('./judge-worker.ts', import.meta.url), {
    workerData,
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
  // One that was ended before it came to a judgement has nobody who waits for it.
  promise.catch(() => {});
  return { judgement: promise, end: () => worker.terminate() };
}

function refusal({ code, message, at }: { code: string; message: string; at: string | undefined }): Error {
  return new BoundaryError(code, message, at === undefined ? {} : { at });
}

function failure(error: unknown): Error {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY')
    return notAccepted('update.too_large', 'it takes more memory than any update of ours does', error);
  return error instanceof Error ? error : new Error(String(error));
}
