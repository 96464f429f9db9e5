import { readdirSync } from 'node:fs';
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
