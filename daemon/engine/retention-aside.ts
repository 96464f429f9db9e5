import { BoundaryError } from '../formats/boundary-error.ts';
import { startThread } from '../host/thread.ts';
import type { Prepared, RetentionPlan, RetentionTask } from './retention-plan.ts';

/** Worker → main. */
type FromWorker =
  | { plan: RetentionPlan }
  | { prepared: Prepared }
  | { failed: { code: string; message: string } };

/**
 * Plans a retention round and, where the task says so, writes its archive files, on a thread of its own: decisions go on
 * meanwhile. Each file is handed to `onPrepared` as it lies ready. Rejects with a `BoundaryError` when the
 * ledger cannot be archived as it is, with another error when the thread fails; what was prepared before stays so.
 */
export async function retentionAside(
  task: RetentionTask,
  onPrepared: (prepared: Prepared) => Promise<void>,
): Promise<RetentionPlan> {
  const worker = startThread(new URL('./retention-worker.ts', import.meta.url), { workerData: task });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let plan: RetentionPlan = { candidates: [], held: [] };
  let recorded = Promise.resolve();
  let failed: BoundaryError | null = null as BoundaryError | null;
  worker.on('message', (message: FromWorker) => {
    if ('plan' in message) plan = message.plan;
    else if ('failed' in message) failed = new BoundaryError(message.failed.code, message.failed.message);
    else recorded = recorded.then(() => onPrepared(message.prepared));
  });
  worker.once('error', reject);
  worker.once('exit', (code) =>
    code === 0 ? resolve() : reject(new Error(`retention: its thread ended with code ${code}`)),
  );
  await promise;
  await recorded;
  if (failed !== null) throw failed;
  return plan;
}
