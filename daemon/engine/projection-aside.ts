import { startThread } from '../host/thread.ts';
import type { Database } from '../ledger/database.ts';
import type { Finding } from '../ledger/finding.ts';
import type { SeenEntries } from '../ledger/verify.ts';
import { checkProjections } from './projection-check.ts';
import type { ProjectionWorkerData } from './projection-worker.ts';

/** Below this many entries, starting a thread costs more than it saves. */
const WORTH_A_THREAD = 30_000;

/** `checkProjections`, for a large ledger on a thread of its own, so that it runs while the entries are verified. */
export async function checkProjectionsAside(
  database: Database,
  archive: string,
  entries: number,
  seen: SeenEntries,
): Promise<Finding[]> {
  if (entries < WORTH_A_THREAD) return checkProjections(database, archive);
  const { promise, resolve, reject } = Promise.withResolvers<Finding[]>();
  const workerData: ProjectionWorkerData = { path: database.path, archive, entries, grants: seen.grants };
  const worker = startThread(new URL('./projection-worker.ts', import.meta.url), { workerData });
  void seen.complete.then(() => worker.postMessage('seen'));
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`verify: the projections' thread ended with code ${code}`)));
  return promise;
}
