import { mkdirSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from './durable-file.ts';

/** Names in a directory, sorted; none where there is no such directory. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Makes `path` and what is missing above it. Returns the topmost directory that was made, or undefined where all were there.
 * Throws the system's error: Node's own recursive mkdir says ENOENT of a disk that is read-only.
 */
export function makeTree(path: string, mode: number): string | undefined {
  try {
    return mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return makeUnder(path, mode);
  }
}

function makeUnder(path: string, mode: number): string {
  try {
    mkdirSync(path, { mode });
    return path;
  } catch (error) {
    const parent = dirname(path);
    if (errorCode(error) !== 'ENOENT' || parent === path) throw error;
    const first = makeUnder(parent, mode);
    mkdirSync(path, { mode });
    return first;
  }
}
