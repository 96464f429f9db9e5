import { BoundaryError } from '../formats/boundary-error.ts';

/** Longest that a caller may ask the server to hold an answer back. */
const WAIT_MAX_MS = 60_000;

/**
 * Milliseconds of a duration as callers write it: `500ms`, `30s`, `1m`. Throws `BoundaryError` `duration.malformed` for
 * anything else, `duration.too_long` above `max`.
 */
export function durationMs(text: string, max = WAIT_MAX_MS): number {
  const match = /^(\d{1,6})(ms|s|m)$/.exec(text);
  if (match === null) {
    throw new BoundaryError('duration.malformed', 'this is not a duration; write it like 500ms, 30s or 1m');
  }
  const unit = match[2] === 'ms' ? 1 : match[2] === 's' ? 1_000 : 60_000;
  const milliseconds = Number(match[1]) * unit;
  if (milliseconds > max) {
    throw new BoundaryError('duration.too_long', `the longest duration accepted here is ${max / 1_000}s`);
  }
  return milliseconds;
}
