import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyOf, assignVotes, authoritySatisfied, missingAuthority } from '../../daemon/core/authority.ts';
import type { AuthorityGroup } from '../../daemon/core/verdict.ts';

const group = (name: string, roles: string[], min_signatures = 1): AuthorityGroup => ({
  group: name,
  roles,
  min_signatures,
});
const vote = (principal: string, role: string) => ({ principal, role });

describe('AND-groups', () => {
  const peerAndSafety = [group('peer', ['l3']), group('safety', ['safety_officer'])];

  test('one peer and one safety officer are two people', () => {
    expect(authoritySatisfied(peerAndSafety, [vote('alice', 'l3')])).toBe(false);
    expect(authoritySatisfied(peerAndSafety, [vote('alice', 'l3'), vote('bob', 'safety_officer')])).toBe(
      true,
    );
  });

  test('one person in two roles fills one seat only', () => {
    const both = [vote('alice', 'l3'), vote('alice', 'safety_officer')];
    expect(authoritySatisfied(peerAndSafety, both)).toBe(false);
  });

  test('an early vote gives up its seat to one that fits nowhere else', () => {
    const groups = [group('any', ['l3', 'l4']), group('command', ['l4'])];
    // Counted greedily, alice (l4) would sit in "any" and bob (l3) would find nothing.
    expect(authoritySatisfied(groups, [vote('alice', 'l4'), vote('bob', 'l3')])).toBe(true);
  });

  test('no groups need no votes', () => {
    expect(authoritySatisfied([], [])).toBe(true);
  });

  test('alternatives read like a sentence', () => {
    expect([['L4'], ['L4', 'L5'], ['L3', 'L4', 'L5']].map(anyOf)).toEqual(['L4', 'L4 or L5', 'L3, L4 or L5']);
  });

  test('what is missing is said in words', () => {
    expect(missingAuthority([group('peer', ['l3'], 2)], [vote('alice', 'l3')])).toEqual([
      '1 signature by l3 (peer)',
    ]);
  });
});

describe('properties', () => {
  const roles = ['l2', 'l3', 'l4', 'safety_officer'];
  const groups = fc.array(
    fc.record({
      group: fc.constantFrom('a', 'b', 'c'),
      roles: fc.uniqueArray(fc.constantFrom(...roles), { minLength: 1, maxLength: 3 }),
      min_signatures: fc.integer({ min: 1, max: 2 }),
    }),
    { maxLength: 3 },
  );
  const votes = fc.array(
    fc.record({ principal: fc.constantFrom('p', 'q', 'r', 's', 't'), role: fc.constantFrom(...roles) }),
    { maxLength: 7 },
  );

  test('no seat is filled by a wrong role, no person counts twice, no group is overfilled', () => {
    fc.assert(
      fc.property(groups, votes, (required, cast) => {
        const seats = assignVotes(required, cast);
        const people = cast.filter((_, index) => seats[index] !== null).map(({ principal }) => principal);
        expect(new Set(people).size).toBe(people.length);
        required.forEach(({ min_signatures, roles: accepted }, index) => {
          const here = cast.filter((_, voteIndex) => seats[voteIndex] === index);
          expect(here.length).toBeLessThanOrEqual(min_signatures);
          for (const { role } of here) expect(accepted).toContain(role);
        });
      }),
    );
  });

  test('the matching is as large as trying every order would make it', () => {
    fc.assert(
      fc.property(groups, votes, (required, cast) => {
        const matched = assignVotes(required, cast).filter((seat) => seat !== null).length;
        expect(matched).toBe(bestByBruteForce(required, firstPerPerson(cast)));
      }),
      { numRuns: 300 },
    );
  });
});

type Vote = { principal: string; role: string };

function firstPerPerson(votes: Vote[]): Vote[] {
  return votes.filter(
    (one, index) => votes.findIndex((other) => other.principal === one.principal) === index,
  );
}

function bestByBruteForce(groups: AuthorityGroup[], votes: Vote[]): number {
  const [first, ...rest] = votes;
  if (first === undefined) return 0;
  const skipped = bestByBruteForce(groups, rest);
  const seated = groups.map((candidate, index) => {
    if (candidate.min_signatures === 0 || !candidate.roles.includes(first.role)) return 0;
    const left = groups.map((other, at) =>
      at === index ? { ...other, min_signatures: other.min_signatures - 1 } : other,
    );
    return 1 + bestByBruteForce(left, rest);
  });
  return Math.max(skipped, ...seated);
}
