import { durationMs } from '../core/duration.ts';
import type { TimeTrust } from '../formats/entry.ts';
import type { Policies } from './policies.ts';
import type { Reading, TimeKeeper } from './time.ts';

/** Something that was granted, or asked for, for a while. */
export interface Grant {
  /** Log index of the entry that says until when. */
  index: number;
  /** How far the clock was believed by which it says so. */
  time_trust: TimeTrust;
  /** Milliseconds since 1970, by the wall clock of that moment. */
  expires_at: number;
}

/** `unknown`: it was granted before the machine was last started, and nobody knows how long ago that was. */
export type GrantState = 'valid' | 'over' | 'unknown';

const DEFAULT_BOOT_GRACE = '10m';

/** How long, in milliseconds, uncertain time leaves alone what was granted before this boot. */
export function bootGrace({ policies }: { policies: Policies }): number {
  return durationMs(policies.forSite()?.compiled.bundle.time?.boot_grace ?? DEFAULT_BOOT_GRACE);
}

/**
 * Whether a grant has run out. What was granted in this boot lasts as long as it was granted for, by the monotonic clock,
 * whatever anybody did to the wall clock since. What is older goes by the wall clock, while that can be believed; and what
 * was granted then by a clock that could not be believed, is over.
 */
export function grantState({ time }: { time: TimeKeeper }, now: Reading, grant: Grant): GrantState {
  const offset = time.timeline.offsetAt(grant.index);
  if (offset !== null) return grant.expires_at <= now.monotonic + offset ? 'over' : 'valid';
  if (grant.time_trust === 'uncertain') return 'over';
  if (now.trust === 'uncertain') return 'unknown';
  return grant.expires_at <= Math.max(now.now, now.at_least) ? 'over' : 'valid';
}
