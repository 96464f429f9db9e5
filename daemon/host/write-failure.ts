import { errorCode } from './durable-file.ts';

/** What a disk (or whoever may write to it) said against something that was to be written. */
export interface WriteFailure {
  /** In words, such as `the disk is full`. */
  why: string;
  /** What to do about it, without its full stop. */
  next: string;
  /** It is the disk: nothing that was typed is wrong, and nothing about owner or mode. */
  isDisk: boolean;
}

const ROOM = 'Make room';
const FAILURES: Readonly<Record<string, WriteFailure>> = {
  ENOSPC: { why: 'the disk is full', next: ROOM, isDisk: true },
  SQLITE_FULL: { why: 'the disk is full', next: ROOM, isDisk: true },
  SQLITE_IOERR_SHMSIZE: { why: 'the disk is full', next: ROOM, isDisk: true },
  EDQUOT: { why: 'the quota of this account is used up', next: ROOM, isDisk: true },
  EROFS: { why: 'the disk is read-only', next: 'Make it writable again (mount -o remount,rw)', isDisk: true },
  EIO: { why: 'the disk failed', next: 'Look into the log of the kernel (dmesg)', isDisk: true },
  ENOENT: { why: 'the directory is not there', next: 'Check that its disk is mounted', isDisk: false },
  EACCES: { why: 'this account may not write there', next: 'Check its owner and mode', isDisk: false },
  EPERM: { why: 'this account may not write there', next: 'Check its owner and mode', isDisk: false },
};

/** What a system error, or SQLite's, means for what was to be written; the code where there are no words for it. */
export function writeFailure(error: unknown): WriteFailure {
  const code = errorCode(error) ?? 'unknown cause';
  const known = Object.hasOwn(FAILURES, code) ? FAILURES[code] : undefined;
  if (known !== undefined) return known;
  const isDisk = /^SQLITE_(IOERR|READONLY|CORRUPT|NOTADB)/.test(code);
  return { why: isDisk ? `the disk failed (${code})` : code, next: 'Check its disk, owner and mode', isDisk };
}
