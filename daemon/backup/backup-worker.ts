import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { errorCode } from '../host/durable-file.ts';
import type { BackupJob, FromBackup } from './aside.ts';
import { writeBackup } from './write.ts';

/* Thread of `backupAside`: one backup, then its result. */

// Of this thread alone: on Linux each thread has a priority of its own.
setPriority(10);
void run(workerData as BackupJob).then((result) => parentPort?.postMessage(result));

async function run({ source, recipients, path }: BackupJob): Promise<FromBackup> {
  try {
    return { written: await writeBackup(source, recipients, path) };
  } catch (error) {
    const code = errorCode(error);
    const message = error instanceof Error ? error.message : String(error);
    return { failed: { code, message } };
  }
}
