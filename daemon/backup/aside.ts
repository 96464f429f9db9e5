import { rmSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { startThread } from '../host/thread.ts';
import type { BackupSource } from './contents.ts';
import type { WrittenBackup } from './write.ts';

/** What the thread is started with. */
export interface BackupJob {
  source: BackupSource;
  recipients: readonly string[];
  path: string;
}

/** Thread → main, once. */
export type FromBackup = { written: WrittenBackup } | { failed: { code: string | null; message: string } };

/** `writeBackup` on a thread of its own, of low priority: neither sockets nor engine wait for it. Throws as it does, and when `signal` ends it. */
export async function backupAside(job: BackupJob, signal: AbortSignal): Promise<WrittenBackup> {
  const { promise, resolve, reject } = Promise.withResolvers<WrittenBackup>();
  const worker = startThread(new URL('./backup-worker.ts', import.meta.url), {
    workerData: job,
    stdin: false,
  });
  worker.once('message', (message: FromBackup) => {
    if ('written' in message) {
      resolve(message.written);
      return;
    }
    const { code, message: words } = message.failed;
    reject(code === null ? new Error(words) : new BoundaryError(code, words));
  });
  worker.once('error', reject);
  const abort = (): void => reject(new Error('the daemon was stopped while the backup was made'));
  signal.addEventListener('abort', abort, { once: true });
  worker.once('exit', (code) => reject(new Error(`the thread that makes a backup ended with code ${code}`)));
  try {
    return await promise;
  } catch (error) {
    await worker.terminate();
    // A thread that was cut off cannot tidy up.
    rmSync(job.path, { force: true });
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    await worker.terminate();
  }
}
