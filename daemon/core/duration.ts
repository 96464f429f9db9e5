import { BoundaryError } from '../formats/boundary-error.ts';

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a duration as policy writes it: `30s`, `15m`, `4h`, `7d`. Throws `duration.malformed`. */
export function durationMs(text: string): number {
  const match = /^([1-9][0-9]{0,5})([smhd])$/.exec(text);
  if (match === null) {
    throw new BoundaryError(
      'duration.malformed',
      'This is not a duration; write it like 30s, 15m, 4h or 7d.',
    );
  }
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
