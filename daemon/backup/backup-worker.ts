import { parentPort, workerData } from 'node:worker_threads';
import { errorCode } from '../host/durable-file.ts';
import { stepBack } from '../host/thread-rank.ts';
import type { BackupJob, FromBackup } from './aside.ts';
import { writeBackup } from './write.ts';

/* Thread of `backupAside`: one backup, then its result. */

stepBack();
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
