import { join } from 'node:path';
import { closeQuietly } from './medium.ts';
import { leaveFile, openFolder, withPatience } from './medium-write.ts';
import type { IssuedReceipt } from './receipts.ts';

/**
 * Leaves a receipt in `receipts/` beside `metadata/` on a medium, so that it goes home with the stick. Returns its path;
 * null where that is not possible (read-only, full, pulled, a name that is taken), which is no reason to fail anything.
 * Never replaces a file and never follows a link.
 */
export async function leaveOnMedium(medium: string, receipt: IssuedReceipt): Promise<string | null> {
  try {
    return await withPatience(leave(medium, receipt));
  } catch {
    return null;
  }
}

async function leave(medium: string, { name, text }: IssuedReceipt): Promise<string> {
  const folder = await openFolder(medium, ['receipts']);
  try {
    await leaveFile(folder, name, Buffer.from(text));
    await folder.handle.sync();
  } finally {
    await closeQuietly(folder.handle);
  }
  return join(folder.path, name);
}
