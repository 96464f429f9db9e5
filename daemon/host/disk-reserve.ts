import { closeSync, constants, fstatSync, ftruncateSync, openSync, statfsSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from './durable-file.ts';
import { randomBytes } from './random.ts';

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/** The disk under the state directory, and the file on it that keeps space back. A port, so that tests need no full disk. */
export interface Disk {
  /** Bytes that this account could still write; null where the system does not tell. */
  free(): number | null;
  /** Bytes that the reserve holds. */
  held(): number;
  /**
   * Makes the reserve hold so many bytes, and returns how many it holds then: fewer where the disk has no room for them.
   * Giving bytes back always works, also on a full disk.
   */
  hold(bytes: number): number;
}

/** Random bytes, because a file system that compresses or skips zeros would hold nothing back. */
const PIECE = 256 * 1024;

/** The reserve as a file beside the ledger: on the same file system, because it is that one whose end must be foreseen. */
export class DiskReserve implements Disk {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  free(): number | null {
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#path));
      return bavail * bsize;
    } catch {
      return null;
    }
  }

  held(): number {
    return this.#with((fd) => fstatSync(fd).size);
  }

  hold(bytes: number): number {
    return this.#with((fd) => {
      const before = fstatSync(fd).size;
      if (bytes <= before) {
        ftruncateSync(fd, bytes);
        return bytes;
      }
      return grow(fd, before, bytes);
    });
  }

  #with(use: (fd: number) => number): number {
    const fd = openSync(this.#path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }
}

/** Writes the missing bytes; what does not fit is cut off again, so that a reserve never fills the disk by itself. */
function grow(fd: number, from: number, to: number): number {
  let at = from;
  try {
    while (at < to) at += writeSync(fd, randomBytes(Math.min(PIECE, to - at)), 0, undefined, at);
  } catch (error) {
    const code = errorCode(error);
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    ftruncateSync(fd, from);
    return from;
  }
  return at;
}
