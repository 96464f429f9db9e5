import type { ReceivedApproval } from './decision.ts';
import type { AuthorityGroup } from './verdict.ts';

/** An approval that may still be counted towards any group that accepts its role. */
type Vote = Pick<ReceivedApproval, 'principal' | 'role'>;

/**
 * Assigns approvals to AND-groups so that as many required signatures as possible are covered, each person counting
 * once over all groups ("one L3 peer AND one safety officer" is two people, even if one holds both roles).
 *
 * Returns for each vote the index of its group, or null. A maximum bipartite matching by augmenting paths: greedy
 * counting would let an early vote take the only seat that a later one could fill.
 */
export function assignVotes(groups: readonly AuthorityGroup[], votes: readonly Vote[]): (number | null)[] {
  const seats = groups.flatMap((group, index) => Array.from({ length: group.min_signatures }, () => index));
  const taken: (number | null)[] = seats.map(() => null);
  const fits = (vote: number, seat: number): boolean => {
    const role = votes[vote]?.role;
    const group = groups[seats[seat] ?? -1];
    return role !== undefined && group?.roles.includes(role) === true;
  };
  const seatVote = (vote: number, seen: Set<number>): boolean => {
    for (let seat = 0; seat < seats.length; seat++) {
      if (seen.has(seat) || !fits(vote, seat)) continue;
      seen.add(seat);
      const holder = taken[seat] ?? null;
      if (holder === null || seatVote(holder, seen)) {
        taken[seat] = vote;
        return true;
      }
    }
    return false;
  };
  const people = new Set<string>();
  votes.forEach((vote, index) => {
    if (people.has(vote.principal)) return;
    people.add(vote.principal);
    seatVote(index, new Set());
  });
  const assigned: (number | null)[] = votes.map(() => null);
  taken.forEach((vote, seat) => {
    if (vote !== null) assigned[vote] = seats[seat] ?? null;
  });
  return assigned;
}

/** True when the votes fill every seat of every group. No groups: nothing is required, so it is satisfied. */
export function authoritySatisfied(groups: readonly AuthorityGroup[], votes: readonly Vote[]): boolean {
  const seats = groups.reduce((sum, group) => sum + group.min_signatures, 0);
  return assignVotes(groups, votes).filter((group) => group !== null).length === seats;
}

/** Alternatives in words: `L4`, `L4 or L5`, `L3, L4 or L5`. */
export function anyOf(names: readonly string[]): string {
  const [last = '', ...before] = [...names].reverse();
  return before.length === 0 ? last : `${before.reverse().join(', ')} or ${last}`;
}

/** What is still missing, in words an operator can act on: `2 signatures by L3, L4 or L5 (peer)`. */
export function missingAuthority(groups: readonly AuthorityGroup[], votes: readonly Vote[]): string[] {
  const assigned = assignVotes(groups, votes);
  return groups.flatMap((group, index) => {
    const missing = group.min_signatures - assigned.filter((seat) => seat === index).length;
    if (missing <= 0) return [];
    return [`${missing} signature${missing > 1 ? 's' : ''} by ${anyOf(group.roles)} (${group.group})`];
  });
}
