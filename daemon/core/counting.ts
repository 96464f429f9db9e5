import type { Roster } from './roster.ts';

/** What somebody signed, as far as it matters whether it still counts. */
export interface Given {
  principal: string;
  key: string;
  /** RFC 3339; absent for what has no end of its own. */
  expires_at?: string;
}

/**
 * Whether what somebody signed still counts: under the roster in force, because a revocation acts at once, on pending
 * approvals and unredeemed permits too (invariant 4); and until its own end, where `now_ms` says when that is looked at.
 */
export function counting(
  current: Roster | null,
  now_ms = Number.NEGATIVE_INFINITY,
): (given: Given) => boolean {
  return ({ principal, key, expires_at }) => {
    if (expires_at !== undefined && Date.parse(expires_at) <= now_ms) return false;
    const member = current?.byKey(key) ?? null;
    return member?.id === principal && member.key_active && member.status === 'active';
  };
}
