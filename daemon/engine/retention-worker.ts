import { parentPort, workerData } from 'node:worker_threads';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openDatabase } from '../ledger/database.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { planRetention, prepareSegment, type RetentionTask } from './retention-plan.ts';

/** Thread of one retention round: says what may move, then each segment whose file lies ready. */
const task = workerData as RetentionTask;
const database = openDatabase(task.ledger, { kind: LEDGER_KIND, readonly: true });
try {
  database.beginRead();
  const plan = planRetention(database, task.rule, task.now, task.limit);
  parentPort?.postMessage({ plan });
  if (task.write) {
    for (const candidate of plan.candidates)
      parentPort?.postMessage({ prepared: prepareSegment(database, task, candidate) });
  }
} catch (error) {
  if (!(error instanceof BoundaryError)) throw error;
  parentPort?.postMessage({ failed: { code: error.code, message: error.message } });
} finally {
  database.close();
}
