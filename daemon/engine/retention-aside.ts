import { startThread } from '../host/thread.ts';
import type { Prepared, RetentionPlan, RetentionTask } from './retention-plan.ts';

/** Worker → main. */
type FromWorker = { plan: RetentionPlan } | { prepared: Prepared };

/**
 * Plans a retention round and, where the task says so, writes its archive files, on a thread of its own: decisions go on
 * meanwhile. Each file is handed to `onPrepared` as it lies ready. Rejects when the thread fails; what was prepared
 * before stays prepared.
 */
export async function retentionAside(
  task: RetentionTask,
  onPrepared: (prepared: Prepared) => Promise<void>,
): Promise<RetentionPlan> {
  const worker = startThread(new URL('./retention-worker.ts', import.meta.url), { workerData: task });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let plan: RetentionPlan = { candidates: [], held: [] };
  let recorded = Promise.resolve();
  worker.on('message', (message: FromWorker) => {
    if ('plan' in message) plan = message.plan;
    else recorded = recorded.then(() => onPrepared(message.prepared));
  });
  worker.once('error', reject);
  worker.once('exit', (code) =>
    code === 0 ? resolve() : reject(new Error(`retention: its thread ended with code ${code}`)),
  );
  await promise;
  await recorded;
  return plan;
}
