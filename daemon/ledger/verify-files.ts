import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isCorruption } from './database.ts';
import { isThere } from './database-place.ts';
import type { Finding } from './finding.ts';
import { stageCopy } from './staging.ts';
import { inspectWal, type WalReport } from './wal.ts';

/** The files that are verified: the ones named, or private copies of them. */
export interface Files {
  ledger: string;
  /** Null where none was named, or the one that was is not there. */
  head: string | null;
  remove(): void;
}

interface NamedFiles {
  ledgerPath: string;
  headPath?: string;
  inPlace?: boolean;
}

/**
 * What the ledger's file is instead of a database, before anything of it is copied; null for what may be one. Throws
 * `BoundaryError` `database.missing`, `database.forbidden`, and `file.not_regular` for a pipe or a device, which would be read for ever.
 */
export function otherKindNamed({ ledgerPath, headPath }: NamedFiles): string | null {
  if (!isThere(ledgerPath, 'ledger')) {
    throw new BoundaryError('database.missing', `${ledgerPath} does not exist; there is nothing to verify.`, {
      at: ledgerPath,
    });
  }
  const named = [ledgerPath, ...(headPath === undefined ? [] : [headPath])];
  for (const path of named.flatMap((one) => [one, `${one}-wal`]))
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      const message = `${path} is not a regular file; nothing was verified.`;
      throw new BoundaryError('file.not_regular', message, { at: path });
    }
  return otherKind(ledgerPath);
}

/**
 * Takes a site's files as they lie (`inPlace`), or private copies of evidence; `otherKindNamed` has looked at them. The
 * caller calls `remove`.
 */
export function openFiles(named: NamedFiles): Files {
  const { ledgerPath, inPlace } = named;
  const headPath =
    named.headPath !== undefined && isThere(named.headPath, 'head store') ? named.headPath : undefined;
  if (inPlace === true) return { ledger: ledgerPath, head: headPath ?? null, remove: () => {} };
  // The head store first, here and below: it follows the ledger, so a ledger looked at later must have reached it.
  const head = headPath === undefined ? null : stageCopy(headPath);
  try {
    const ledger = stageCopy(ledgerPath);
    const remove = (): void => {
      ledger.remove();
      head?.remove();
    };
    return { ledger: ledger.path, head: head?.path ?? null, remove };
  } catch (error) {
    head?.remove();
    throw error;
  }
}

/** What every SQLite database starts with (file format §1.3.1). */
const MAGIC = 'SQLite format 3\0';

/** A running daemon may be in the middle of a write: only what stays the same is a finding. */
export async function inspectSettled(path: string): Promise<WalReport> {
  let report = inspectWal(path);
  for (let look = 0; look < 5 && report.state !== 'clean'; look++) {
    await sleep(20);
    const again = inspectWal(path);
    if (JSON.stringify(again) === JSON.stringify(report)) return report;
    report = again;
  }
  return { ...report, state: 'clean' };
}

/** A torn tail or damage of the write-ahead log, as a finding at `where`. */
export function logFindings(log: WalReport, where: string): Finding[] {
  if (log.state === 'clean') return [];
  return [{ code: log.state === 'torn' ? 11 : 10, what: 'log', where, detail: log.detail }];
}

/**
 * SQLite file format §1.3: the header counts the pages. With a log beside it the file may lag behind, so only a file
 * without one can be called cut. Null when it is whole, or not a database at all, which opening it will show.
 */
export function truncation(path: string, log: WalReport): string | null {
  if (log.committedFrames > 0) return null;
  const file = openSync(path, 'r');
  const header = Buffer.alloc(100);
  const length = readSync(file, header, 0, header.length, 0);
  const { size } = fstatSync(file);
  closeSync(file);
  const magic = Math.min(length, MAGIC.length);
  if (header.toString('latin1', 0, magic) !== MAGIC.slice(0, magic)) return null;
  if (length < header.length) return `the file has ${size} bytes and no header`;
  const expected = header.readUInt32BE(28) * header.readUInt16BE(16);
  return size < expected ? `the file has ${size} bytes, its header counts ${expected}` : null;
}

/**
 * What a file that is no SQLite database at all is instead; null for one that may be a database. An empty or damaged
 * header is for others to judge.
 */
function otherKind(path: string): string | null {
  const file = openSync(path, 'r');
  const start = Buffer.alloc(48);
  const length = readSync(file, start, 0, start.length, 0);
  const { size } = fstatSync(file);
  closeSync(file);
  const magic = Math.min(length, MAGIC.length);
  if (length === 0 || start.toString('latin1', 0, magic) === MAGIC.slice(0, magic)) return null;
  const text = start.toString('latin1', 0, length);
  const isText = /^[\t\n\r\x20-\x7e]+$/.test(text);
  const shown = isText
    ? `text that begins with ${JSON.stringify(text.trim().slice(0, 32))}`
    : 'of another kind';
  return `This is no ledger (no SQLite database), but a file of ${size} bytes, ${shown}. Name the right file; if a ledger should be here, it was overwritten.`;
}

/**
 * What an error says about the file, if it says that the file is damaged. Any other is rethrown: that a disk is full or a
 * file unreadable is no evidence against what it holds.
 */
export function damageOf(error: unknown): string {
  const coded = error instanceof BoundaryError ? error : null;
  const refused = coded?.code === 'database.kind' || coded?.code === 'head.malformed';
  if (error instanceof Error && (refused || isCorruption(error) || isCorruption(coded?.cause)))
    return error.message;
  throw error;
}
