import { BoundaryError } from '../formats/boundary-error.ts';
import { systemClock } from '../host/clock.ts';

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `7d`, `24h`, `90m` ago, or an instant: milliseconds since 1970. Throws BoundaryError `since.malformed` naming the option. */
export function instantOf(option: string, text: string): number {
  const ago = /^([1-9]\d{0,4})([mhd])$/.exec(text);
  if (ago !== null) return systemClock.now() - Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS];
  const at = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{3})?)?Z)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new BoundaryError(
    'since.malformed',
    `Write ${option} as a duration such as 7d or 24h, or as 2026-11-21 or 2026-11-21T06:00:00Z; nothing was read.`,
    { at: option },
  );
}
