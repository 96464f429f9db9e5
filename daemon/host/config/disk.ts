import type { Profile } from '../site.ts';
import type { Section } from './section.ts';

/** What the daemon keeps of the disk that holds its state. */
export interface DiskConfig {
  /** Bytes that nobody uses until the disk is full: then they are given back, a quarter at a time. */
  reserve_bytes: number;
  /** Below so many free bytes nothing is allowed any more, so that what must be recorded still can be. */
  low_bytes: number;
}

const MIB = 1_048_576;
const DEFAULTS: Readonly<Record<'dev' | 'other', DiskConfig>> = {
  // A site to try things out: many of them may lie side by side.
  dev: { reserve_bytes: MIB / 2, low_bytes: MIB },
  other: { reserve_bytes: 64 * MIB, low_bytes: 128 * MIB },
};

export const DISK_SETTINGS: readonly string[] = ['reserve_bytes', 'low_bytes'];

/** The checked `disk` section of `holdfast.json`. */
export function parseDisk(section: Section, profile: Profile): DiskConfig {
  const fallback = DEFAULTS[profile === 'dev' ? 'dev' : 'other'];
  return {
    reserve_bytes: section.count('reserve_bytes', fallback.reserve_bytes, 16_384 * MIB),
    low_bytes: section.count('low_bytes', fallback.low_bytes, 1_048_576 * MIB),
  };
}
