import { existsSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';

/** How far a feed has come: every event of this log before `next` is with its sink. */
export interface Position {
  origin: string;
  next: number;
}

const MAX_BYTES = 1_024;

/**
 * Where a feed stood when it was last written down; null when it never was. A file that is damaged is worth as little as
 * none: the sink itself still knows its last event, and each event carries an id.
 */
export function readPosition(path: string): Position | null {
  if (!existsSync(path)) return null;
  try {
    const text = Buffer.from(readBounded(path, MAX_BYTES)).toString('utf8');
    const value = parseStrict(text, { maxBytes: MAX_BYTES, maxDepth: 2 });
    const { origin, next } = (value ?? {}) as Partial<Record<'origin' | 'next', unknown>>;
    const known =
      typeof origin === 'string' && typeof next === 'number' && Number.isSafeInteger(next) && next >= 0;
    return known ? { origin, next } : null;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

/** Written after what it speaks of is durable, so that it is never ahead. */
export function writePosition(path: string, position: Position): void {
  writeDurable(path, Buffer.from(`${JSON.stringify(position)}\n`, 'utf8'), 0o600);
}

/** The further one of the same log; the first of two of different logs. */
export function further(one: Position | null, other: Position | null): Position | null {
  if (one === null || other === null) return one ?? other;
  return one.origin === other.origin && other.next > one.next ? other : one;
}
