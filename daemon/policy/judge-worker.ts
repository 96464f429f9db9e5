import { parentPort, workerData } from 'node:worker_threads';
import { BoundaryError } from '../formats/boundary-error.ts';
import { stepAside, stepBack } from '../host/thread-rank.ts';
import { type JudgeJob, judgeUpdate } from './judge.ts';
import type { FromJudge, JudgeThreadJob } from './judge-aside.ts';

/* Thread of `judgeAside`: one update, then it is over. */

void judge(workerData as JudgeThreadJob).then(tell);

async function judge({ job, rank }: JudgeThreadJob): Promise<FromJudge> {
  if (rank === 'aside') await stepAside();
  else stepBack();
  return answer(job);
}

async function answer(job: JudgeJob): Promise<FromJudge> {
  try {
    return { judgement: await judgeUpdate(job, (good) => tell({ good })) };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const { code, message, at } = error;
    return { refused: { code, message, at } };
  }
}

function tell(message: FromJudge): void {
  parentPort?.postMessage(message);
}
