import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { closeQuietly } from './medium.ts';
import type { IssuedReceipt } from './receipts.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
/** A stick that takes longer to write a page is not waited for. */
const PATIENCE_MS = 15_000;

/**
 * Leaves a receipt in `receipts/` beside `metadata/` on a medium, so that it goes home with the stick. Returns its path;
 * null where that is not possible (read-only, full, pulled, a name that is taken), which is no reason to fail anything.
 * Never replaces a file and never follows a link.
 */
export async function leaveOnMedium(medium: string, receipt: IssuedReceipt): Promise<string | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), PATIENCE_MS);
  try {
    return await Promise.race([leave(medium, receipt), late.promise]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

async function leave(medium: string, { name, text }: IssuedReceipt): Promise<string> {
  const folder = join(await realpath(medium), 'receipts');
  // Whether it was there before or cannot be made shows when it is opened.
  await mkdir(folder, { mode: 0o755 }).catch(() => {});
  const directory = await open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    // From its descriptor on, so that no swapped link can lead elsewhere.
    await write(`/proc/self/fd/${directory.fd}/${name}`, Buffer.from(text));
    await directory.sync();
  } finally {
    await closeQuietly(directory);
  }
  return join(folder, name);
}

async function write(path: string, bytes: Buffer): Promise<void> {
  const file = await openNew(path, bytes);
  if (file === null) return;
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await closeQuietly(file);
  }
}

/** Null when this very receipt lies there already. One cut short by a pulled stick is written anew. */
async function openNew(path: string, bytes: Buffer): Promise<FileHandle | null> {
  try {
    return await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  } catch (error) {
    const there = await contentOf(path, bytes.length);
    if (there === null || !bytes.subarray(0, there.length).equals(there)) throw error;
    return there.length === bytes.length ? null : open(path, O_WRONLY | O_NOFOLLOW);
  }
}

/** What lies there, if it is a regular file of at most `max` bytes. */
async function contentOf(path: string, max: number): Promise<Buffer | null> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > max) return null;
    return await file.readFile();
  } finally {
    await closeQuietly(file);
  }
}
