import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode } from '../host/durable-file.ts';

/*
 * What stands between this process and a database file, told apart: the file is gone, the account may not use it, the disk is
 * read-only or full. A person who takes one for the other restores a backup over a ledger that is whole.
 */

/** What a database is to be opened for. */
export interface Wanted {
  /** What it is called, such as `ledger`. */
  name: string;
  readonly: boolean;
}

/**
 * Whether there is something at `path` that this account may read. Throws `BoundaryError` `database.forbidden` where it may
 * not even see that.
 */
export function isThere(path: string, name: string): boolean {
  const code = hindrance(path, constants.R_OK);
  if (isDenial(code)) throw forbidden(path, { name, readonly: true });
  return code !== 'ENOENT' && code !== 'ENOTDIR';
}

/**
 * Throws `BoundaryError` `database.readonly_disk` or `database.forbidden` where nothing can be written at `path`. SQLite
 * itself opens such a file where a log lies beside it, and fails in the middle.
 */
export function assertWritable(path: string, name: string): void {
  const wanted = { name, readonly: false };
  const code = placeHindrance(path, wanted);
  if (code === 'EROFS') throw readonlyDisk(path, wanted);
  if (isDenial(code)) throw forbidden(path, wanted);
}

/** Why SQLite could not open the database at `path`, in words; `cause` carries SQLite's code. */
export function openingFailure(path: string, wanted: Wanted, cause: Error & { code: string }): BoundaryError {
  const against = placeHindrance(path, wanted);
  const inTheWay = /^SQLITE_(CANTOPEN|READONLY|IOERR)/.test(cause.code);
  if (inTheWay && against === 'EROFS') return readonlyDisk(path, wanted, cause);
  if (inTheWay && isDenial(against)) return forbidden(path, wanted, cause);
  const next = /^SQLITE_(FULL|IOERR_SHMSIZE)/.test(cause.code)
    ? 'The disk is full: make room, then repeat.'
    : 'Verify it, or restore a backup.';
  return new BoundaryError(
    'database.unreadable',
    `${wanted.name} ${path} cannot be opened (${cause.code}: ${cause.message}); it was left as it is. ${next}`,
    { at: path, cause },
  );
}

/** A database with a write-ahead log is never only read: SQLite keeps the index of the log beside it. */
function placeHindrance(path: string, { readonly }: Wanted): string | null {
  return (
    hindrance(dirname(path), constants.W_OK | constants.X_OK) ??
    hindrance(path, readonly ? constants.R_OK : constants.R_OK | constants.W_OK)
  );
}

function hindrance(path: string, mode: number): string | null {
  try {
    accessSync(path, mode);
    return null;
  } catch (error) {
    const code = errorCode(error);
    if (code === null) throw error;
    return code;
  }
}

function isDenial(code: string | null): boolean {
  return code === 'EACCES' || code === 'EPERM';
}

function forbidden(path: string, { name, readonly }: Wanted, cause?: Error): BoundaryError {
  return new BoundaryError(
    'database.forbidden',
    `This account may not ${readonly ? 'read' : 'write'} the ${name} ${path}; nothing was done. Run the command as the account that owns it (that of the daemon), or as root.`,
    { at: path, cause },
  );
}

function readonlyDisk(path: string, { name }: Wanted, cause?: Error): BoundaryError {
  return new BoundaryError(
    'database.readonly_disk',
    `The ${name} ${path} cannot be opened, because its disk is read-only; nothing was done. That says nothing against the file. Find out why (dmesg), make the disk writable again (mount -o remount,rw) and repeat. Until then a copy can be verified: holdfast ledger verify --ledger FILE`,
    { at: path, cause },
  );
}
