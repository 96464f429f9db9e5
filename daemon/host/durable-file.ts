import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { randomBytes } from './random.ts';

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/**
 * Replaces `path` by `bytes`, whole or not at all: after return the content and the name survive power loss; after a
 * crash at any moment the old file or the new one is there, never a mixture. `mode` is exact (no umask).
 * Throws the system's error; a temporary file (`.NAME.*.tmp`) is removed where possible.
 */
export function writeDurable(path: string, bytes: Uint8Array, mode: number): void {
  replaceFile(path, bytes, mode);
  syncDir(dirname(path));
}

/** `writeDurable`, but the name itself is not yet durable: for many files, after which the caller syncs the directory. */
export function replaceFile(path: string, bytes: Uint8Array, mode: number): void {
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${Buffer.from(randomBytes(6)).toString('hex')}.tmp`,
  );
  const fd = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      fchmodSync(fd, mode);
      writeAll(fd, bytes);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    // The point of no return: the name now means the new bytes.
    renameSync(temporary, path);
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

/**
 * Appends `bytes` to `path` (created with `mode` if missing) and returns after they are on the disk. If the write fails
 * midway the file is cut back to what it was, so that a full disk leaves no torn record behind.
 */
export function appendDurable(path: string, bytes: Uint8Array, mode = 0o600): void {
  const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode);
  try {
    const before = regularSize(fd, path);
    try {
      writeAll(fd, bytes);
    } catch (error) {
      ftruncateSync(fd, before);
      throw error;
    }
    fsyncSync(fd);
    if (before === 0) syncDir(dirname(path));
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a regular file of at most `max` bytes. Links, pipes, devices and directories are refused, whoever put them
 * there: `file.missing`, `file.not_regular`, `file.too_large`, `file.unreadable` (BoundaryError, `at` = path).
 */
export function readBounded(path: string, max: number): Uint8Array {
  const fd = openForReading(path);
  try {
    const size = regularSize(fd, path);
    if (size > max) throw tooLarge(path, max);
    // One byte of room beyond `max` tells a file that grows while it is read.
    const buffer = Buffer.allocUnsafe(Math.min(size + 1, max + 1));
    let length = 0;
    while (length < buffer.length) {
      const read = readSync(fd, buffer, length, buffer.length - length, length);
      if (read === 0) break;
      length += read;
    }
    if (length > size)
      throw new BoundaryError(
        'file.changed',
        `${path} grew while it was read; nothing was used of it. Try again when nobody writes to it.`,
        { at: path },
      );
    return new Uint8Array(buffer.subarray(0, length));
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes one directory with exactly `mode`, durably. An existing directory is left as it is; anything else of that name
 * (a link too) is refused with `file.not_directory`.
 */
export function makeDir(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    if (lstatSync(path).isDirectory()) return;
    throw new BoundaryError(
      'file.not_directory',
      `${path} should be a directory and is something else; nothing was written. Move it away.`,
      { at: path, cause: error },
    );
  }
  chmodSync(path, mode);
  syncDir(dirname(path));
}

/** Makes names created, renamed or removed in `path` durable. */
export function syncDir(path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** `code` of a system error (`ENOENT`), or null for anything else. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Opens for reading without following a link and without waiting for a pipe's other end. */
function openForReading(path: string): number {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT')
      throw new BoundaryError('file.missing', `${path} does not exist.`, { at: path, cause: error });
    if (code === 'ELOOP' || code === 'ENXIO') throw notRegular(path, error);
    throw new BoundaryError(
      'file.unreadable',
      `${path} cannot be read (${code ?? 'unknown error'}). Check its owner and mode.`,
      { at: path, cause: error },
    );
  }
}

function regularSize(fd: number, path: string): number {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw notRegular(path);
  return stat.size;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written, bytes.length - written);
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The first error is the one to report; a stray temporary file has no meaning to any reader.
  }
}

function notRegular(path: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'file.not_regular',
    `${path} is not a regular file (links are not followed); it was not read.`,
    { at: path, cause },
  );
}

function tooLarge(path: string, max: number): BoundaryError {
  return new BoundaryError(
    'file.too_large',
    `${path} is larger than the ${max} bytes allowed for it; it was not read.`,
    { at: path },
  );
}
