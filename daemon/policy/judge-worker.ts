import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type JudgeJob, judgeUpdate } from './judge.ts';
import type { FromJudge } from './judge-aside.ts';

/* Thread of `judgeAside`: one update, then it is over. */

stepBack();
void answer(workerData as JudgeJob).then(tell);

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

/** On Linux this lowers the calling thread alone. Who may not say so has the same rank as everybody. */
function stepBack(): void {
  try {
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Only others are served a little later then.
  }
}
