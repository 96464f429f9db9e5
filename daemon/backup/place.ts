import { renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { syncDir } from '../host/durable-file.ts';
import { randomBytes } from '../host/random.ts';

/** Where a backup lies until it is on record: beside its place, so that the move is a rename. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${Buffer.from(randomBytes(6)).toString('hex')}.tmp`);
}

/** The written file under its name, durably. */
export function adoptBackup(temporary: string, path: string): void {
  renameSync(temporary, path);
  syncDir(dirname(path));
}
