import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { errorCode } from '../host/durable-file.ts';
import type { BackupJob, FromBackup } from './aside.ts';
import { writeBackup } from './write.ts';

/* Thread of `backupAside`: one backup, then its result. */

const { source, recipients, path } = workerData as BackupJob;
// Of this thread alone: on Linux each thread has a priority of its own.
setPriority(10);
try {
  const written = await writeBackup(source, recipients, path);
  parentPort?.postMessage({ written } satisfies FromBackup);
} catch (error) {
  const code = errorCode(error);
  const message = error instanceof Error ? error.message : String(error);
  parentPort?.postMessage({ failed: { code, message } } satisfies FromBackup);
}
