import type { Roster } from './roster.ts';

/** What was suspended at this site: fingerprints of keys (`SHA256:…`) and ids of principals. */
export type Suspended = ReadonlySet<string>;

/** Whether a name of a suspended thing is a key's fingerprint; else it is a principal's id. */
export function isFingerprint(name: string): boolean {
  return /^SHA256:[A-Za-z0-9+/]{43}$/.test(name);
}

/**
 * A roster as it counts at this site: what was suspended here does not, whatever the bundle says. `suspended` is looked at
 * with every question, so that a suspension counts from the entry on that records it.
 */
export function underSuspensions(roster: Roster, suspended: Suspended): Roster {
  return {
    ...roster,
    byKey: (fingerprint) => {
      const member = roster.byKey(fingerprint);
      if (member === null || suspended.size === 0) return member;
      const key_active = member.key_active && !suspended.has(fingerprint);
      const status = member.status === 'active' && suspended.has(member.id) ? 'suspended' : member.status;
      return { ...member, key_active, status };
    },
    principal: (id) => {
      const principal = roster.principal(id);
      if (principal?.status !== 'active' || !suspended.has(id)) return principal;
      return { ...principal, status: 'suspended' };
    },
  };
}
