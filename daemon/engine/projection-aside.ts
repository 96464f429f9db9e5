import { startThread } from '../host/thread.ts';
import type { Database } from '../ledger/database.ts';
import type { Finding } from '../ledger/finding.ts';
import { checkProjections } from './projection-check.ts';

/** Below this many entries, starting a thread costs more than it saves. */
const WORTH_A_THREAD = 30_000;

/** `checkProjections`, for a large ledger on a thread of its own, so that it runs while the entries are verified. */
export async function checkProjectionsAside(
  database: Database,
  archive: string,
  entries: number,
): Promise<Finding[]> {
  if (entries < WORTH_A_THREAD) return checkProjections(database, archive);
  const { promise, resolve, reject } = Promise.withResolvers<Finding[]>();
  const worker = startThread(new URL('./projection-worker.ts', import.meta.url), {
    workerData: { path: database.path, archive },
  });
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`verify: the projections' thread ended with code ${code}`)));
  return promise;
}
