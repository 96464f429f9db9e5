import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';

/** How far the background check is, and how the last pass ended. */
export interface IntegrityProgress {
  v: 1;
  origin: string;
  started_at: string;
  /** First entry that this pass has not looked at. */
  next: number;
  /** Entries of the ledger when it last looked. */
  size: number;
  /** Findings of this pass. */
  found: number;
  /** Whether the pass reached the end; then new entries are looked at as they come. */
  done: boolean;
  last: { started_at: string; finished_at: string; entries: number; found: number } | null;
}

const MAX_BYTES = 4_096;

/** What was kept; null when there is nothing, or nothing that can be read: then a pass begins anew. */
export function readProgress(path: string, origin: string): IntegrityProgress | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readBounded(path, MAX_BYTES));
    const value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 3 }) as JsonObject;
    const { v, next, size, found, done } = value;
    const counts = [next, size, found].every((count) => Number.isSafeInteger(count) && Number(count) >= 0);
    const ours = v === 1 && value.origin === origin && counts && typeof done === 'boolean';
    return ours ? (value as unknown as IntegrityProgress) : null;
  } catch (error) {
    if (error instanceof BoundaryError || error instanceof TypeError) return null;
    throw error;
  }
}

/** A hint for the next start, believed by nobody else: a pass by schedule begins at the first entry whatever it says. */
export function writeProgress(path: string, progress: IntegrityProgress): void {
  writeDurable(path, new TextEncoder().encode(`${JSON.stringify(progress)}\n`), 0o600);
}
