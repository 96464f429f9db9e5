import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { errorCode, readBounded, syncDir } from '../host/durable-file.ts';

/*
 * The outbox as whoever empties it sees it: files of any kind, by path and digest. What they say is not looked at here.
 */

/** A file that waits to be carried to headquarters. */
export interface OutboxFile {
  /** From the outbox on. */
  path: string;
  bytes: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/** How many files wait, how large they are together, and since when the oldest does; for people. */
export interface OutboxSummary {
  files: number;
  bytes: number;
  oldest: string | null;
}

const MAX_DEPTH = 3;
const FILE_MAX_BYTES = 64 * 1024 * 1024;

/** Regular files below the outbox, in a fixed order; unfinished ones (`.NAME.tmp`) and links are none. */
function outboxFiles(outbox: string, from = '', depth = 1): OutboxFile[] {
  const entries = listed(join(outbox, from)).filter(({ name }) => !name.startsWith('.'));
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${from}${entry.name}`;
      if (entry.isDirectory()) return depth < MAX_DEPTH ? outboxFiles(outbox, `${path}/`, depth + 1) : [];
      const stat = entry.isFile() ? lstatSync(join(outbox, path), { throwIfNoEntry: false }) : undefined;
      return stat === undefined ? [] : [{ path, bytes: stat.size, modified: stat.mtimeMs }];
    });
}

/** How much waits to be carried, and since when. */
export function outboxSummary(outbox: string): OutboxSummary {
  const files = outboxFiles(outbox);
  const oldest = files.reduce((least, { modified }) => Math.min(least, modified), Number.POSITIVE_INFINITY);
  return {
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    oldest: files.length === 0 ? null : new Date(oldest).toISOString(),
  };
}

/** Digests of what lies in the outbox, each with the paths that hold it. Lets others work in between. */
export async function outboxDigests(outbox: string): Promise<Map<string, string[]>> {
  const digests = new Map<string, string[]>();
  for (const { path } of outboxFiles(outbox)) {
    const digest = digestOf(join(outbox, path));
    if (digest !== null) digests.set(digest, [...(digests.get(digest) ?? []), path]);
    await breathe();
  }
  return digests;
}

/**
 * Deletes files whose bytes still have the digest under which they were looked up, durably. Digest and deletion are one
 * step for this process, which alone writes here. Returns the paths of those that are gone.
 */
export async function removeFromOutbox(
  outbox: string,
  files: readonly { path: string; digest: string }[],
): Promise<string[]> {
  const removed: string[] = [];
  for (const { path, digest } of files) {
    if (digestOf(join(outbox, path)) === digest) {
      unlinkSync(join(outbox, path));
      removed.push(path);
    }
    await breathe();
  }
  for (const dir of new Set(removed.map((path) => dirname(join(outbox, path))))) syncDir(dir);
  return removed;
}

/** Null for what is gone, or is no file that anybody could carry. */
function digestOf(path: string): string | null {
  try {
    return sha256Hex(readBounded(path, FILE_MAX_BYTES));
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function listed(dir: string) {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
