import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { closeQuietly } from './medium.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;
/** A stick that takes longer to write a page is not waited for. */
const PATIENCE_MS = 15_000;

/** A directory on a medium, open: whatever happens to its name, files go into this one. */
export interface Folder {
  path: string;
  handle: FileHandle;
}

/** What cannot be read or written within some seconds on a slow medium is given up. Throws then, too. */
export async function withPatience<T>(work: Promise<T>, files = 1): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(Object.assign(new Error('the medium does not answer'), { code: 'ETIMEDOUT' })),
    PATIENCE_MS + files * 100,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Opens folders below a medium, making those that are missing. No link is followed on the way. Throws the system's error. */
export async function openFolder(medium: string, names: readonly string[]): Promise<Folder> {
  const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  let path = await realpath(medium);
  let handle = await open(path, flags);
  for (const name of names) {
    // From its descriptor on, so that no swapped link can lead elsewhere.
    const below = `/proc/self/fd/${handle.fd}/${name}`;
    // Whether it was there before or cannot be made shows when it is opened.
    await mkdir(below, { mode: 0o755 }).catch(() => {});
    const next = await open(below, flags).finally(() => closeQuietly(handle));
    path = join(path, name);
    handle = next;
  }
  return { path, handle };
}

/**
 * Leaves a file in an open folder, durably; false when this very file lies there already. Never replaces a file of other
 * contents and never follows a link: throws then. The caller syncs the folder.
 */
export async function leaveFile({ handle }: Folder, name: string, bytes: Uint8Array): Promise<boolean> {
  const file = await openNew(`/proc/self/fd/${handle.fd}/${name}`, Buffer.from(bytes));
  if (file === null) return false;
  try {
    await file.writeFile(bytes);
    await file.sync();
    return true;
  } finally {
    await closeQuietly(file);
  }
}

/** Null when this very file lies there already. One cut short by a pulled stick is written anew. */
async function openNew(path: string, bytes: Buffer): Promise<FileHandle | null> {
  try {
    return await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  } catch (error) {
    const there = await contentOf(path, bytes.length);
    if (there === null || !bytes.subarray(0, there.length).equals(there)) throw error;
    return there.length === bytes.length ? null : open(path, O_WRONLY | O_NOFOLLOW);
  }
}

/** What lies there, if it is a regular file of at most `max` bytes. Throws the system's error. */
export async function contentOf(path: string, max: number): Promise<Buffer | null> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > max) return null;
    return await file.readFile();
  } finally {
    await closeQuietly(file);
  }
}
