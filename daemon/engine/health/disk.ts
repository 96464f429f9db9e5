import type { DiskReport } from '../disk-guard.ts';
import { type Degraded, iso } from './facts.ts';

const INSTRUCTION =
  'Free space on the disk that holds the site (see docs/operate/disk-full.md); it goes on by itself, within seconds.';

/** A disk that is nearly full. */
export function diskHealth({ level, since, free_bytes, held_bytes }: DiskReport): Degraded[] {
  if (level === 'ok') return [];
  const left = `${sized(free_bytes ?? 0)} are free, ${sized(held_bytes)} of the reserve are left`;
  return [
    {
      component: 'disk',
      cause: `the disk is nearly full: ${left}`,
      since: since === null ? null : iso(since),
      effect:
        level === 'low'
          ? 'Nothing is allowed. Denials, approvals and outcomes are still recorded.'
          : 'Nothing is allowed, and routine questions are refused without a record. Break-glass, outcomes, incidents and an orderly stop are still recorded.',
      instruction: INSTRUCTION,
    },
  ];
}

function sized(bytes: number): string {
  const mib = bytes / 1_048_576;
  return mib >= 1 ? `${mib.toFixed(0)} MiB` : `${Math.floor(bytes / 1_024)} KiB`;
}
