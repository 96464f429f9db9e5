import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import {
  type HoldDemand,
  type HoldPlace,
  type HoldRosters,
  type HoldVote,
  holdDemands,
  jointRoster,
  judgeVote,
  missingVotes,
  missingWords,
  siteTargetDigest,
} from '../../daemon/core/hold.ts';
import type { Roster, RosterMember } from '../../daemon/core/roster.ts';

type Hold = NonNullable<Bundle['activation']>['hold'];

/** Only what the rules look at. */
function bundle(hold: Hold | null): Bundle {
  return { ...(hold === null ? {} : { activation: { hold } }) } as unknown as Bundle;
}

const TWO: Hold = { roles: ['L4', 'L5'], min_signatures: 2, max_wait: '7d' };
const ONE: Hold = { roles: ['L5'], min_signatures: 1, max_wait: '1d' };

function place(
  environment: string,
  before: Hold | null | undefined,
  after: Hold | null | undefined,
): HoldPlace {
  return {
    environment,
    before: before === undefined ? null : { digest: 'old', bundle: bundle(before) },
    after: after === undefined ? null : { digest: 'new', bundle: bundle(after) },
  };
}

const demandsOf = (...places: HoldPlace[]) =>
  holdDemands(places).demands.map(({ environment, rules, min_signatures }) => [
    environment,
    rules,
    min_signatures,
  ]);

describe('what holds an update', () => {
  it('is nothing where no rules ask for it', () => {
    expect(demandsOf(place('production', null, null))).toEqual([]);
  });

  it('are the rules in force, whatever the update says', () => {
    expect(demandsOf(place('production', TWO, null))).toEqual([['production', 'in_force', 2]]);
  });

  it('are the rules that come, too', () => {
    expect(demandsOf(place('production', null, ONE))).toEqual([['production', 'new', 1]]);
    expect(demandsOf(place('production', TWO, TWO))).toEqual([['production', 'in_force', 2]]);
    expect(demandsOf(place('production', TWO, ONE))).toEqual([
      ['production', 'in_force', 2],
      ['production', 'new', 1],
    ]);
  });

  it('is never anything for the first policy of a site: nobody could sign', () => {
    expect(demandsOf(place('production', undefined, TWO))).toEqual([]);
  });

  it('is not asked where no bundle changes: the same rules, signed anew, are news', () => {
    const same = place('production', TWO, TWO);
    expect(demandsOf({ ...same, after: { digest: 'old', bundle: bundle(TWO) } })).toEqual([]);
  });

  it('leaves an environment alone that has rules of its own', () => {
    const production = { ...place('production', TWO, TWO), after: { digest: 'old', bundle: bundle(TWO) } };
    expect(demandsOf(production, place('staging', null, null))).toEqual([]);
  });

  it('counts for a new environment by all rules in force: who asks chooses the environment', () => {
    const production = { ...place('production', TWO, TWO), after: { digest: 'old', bundle: bundle(TWO) } };
    expect(demandsOf(production, place('annex', undefined, null))).toEqual([['production', 'in_force', 2]]);
  });

  it('counts for an environment that ends', () => {
    expect(demandsOf(place('production', TWO, undefined))).toEqual([['production', 'in_force', 2]]);
  });

  it('does not lock a site out whose bundle cannot be read, where others can', () => {
    const unreadable: HoldPlace = {
      ...place('production', null, ONE),
      before: { digest: 'old', bundle: null },
    };
    expect(demandsOf(unreadable)).toEqual([]);
    expect(demandsOf(unreadable, place('staging', null, null))).toEqual([['production', 'new', 1]]);
  });

  it('waits for the shortest time that any rule gives', () => {
    expect(holdDemands([place('production', TWO, ONE)]).max_wait_ms).toBe(86_400_000);
    expect(
      holdDemands([place('production', { ...TWO, max_wait: undefined } as never, null)]).max_wait_ms,
    ).toBeNull();
  });

  it('is at least what the rules in force demand, for any update', () => {
    const hold = fc.option(
      fc.record({
        roles: fc.uniqueArray(fc.constantFrom('L3', 'L4', 'L5'), { minLength: 1 }),
        min_signatures: fc.integer({ min: 1, max: 16 }),
      }),
      { nil: null },
    );
    fc.assert(
      fc.property(hold, fc.option(hold, { nil: undefined }), hold, (before, after, other) => {
        const changed = place('production', before, after);
        const { demands } = holdDemands([changed, place('staging', other, null)]);
        const mine = demands.filter(
          ({ environment, rules }) => environment === 'production' && rules === 'in_force',
        );
        expect(mine.map(({ roles, min_signatures }) => ({ roles, min_signatures }))).toEqual(
          before === null ? [] : [before],
        );
      }),
    );
  });
});

const member = (id: string, roles: string[], changes: Partial<RosterMember> = {}): RosterMember => ({
  id,
  kind: 'human',
  roles,
  status: 'active',
  scope: undefined,
  key_active: true,
  pin_required: false,
  ...changes,
});

function roster(keys: Record<string, RosterMember>): Roster {
  return {
    byKey: (fingerprint: string) => keys[fingerprint] ?? null,
    principal: () => null,
    owns: () => false,
  } as unknown as Roster;
}

const CAROL = member('carol', ['L4']);
const DAVE = member('dave', ['L5']);
const demand = (changes: Partial<HoldDemand> = {}): HoldDemand => ({
  environment: 'production',
  rules: 'in_force',
  roles: ['L4', 'L5'],
  min_signatures: 2,
  ...changes,
});
const vote = (principal: string, role: string): HoldVote => ({ principal, role, key: `${principal}-key` });
const rosters = (
  changes: { now?: Record<string, RosterMember>; coming?: Record<string, RosterMember> } = {},
): HoldRosters => {
  const keys = { 'carol-key': CAROL, 'dave-key': DAVE };
  return {
    inForce: () => roster(changes.now ?? keys),
    coming: [roster(changes.coming ?? keys)],
  };
};

describe('signatures for an update that waits', () => {
  const missing = (votes: HoldVote[], by = rosters(), demands = [demand()]) =>
    missingWords(missingVotes(demands, votes, by));

  it('are missed until enough different people gave them', () => {
    expect(missing([])).toEqual(['2 signatures by L4 or L5 (production: rules in force)']);
    expect(missing([vote('carol', 'L4'), vote('carol', 'L4')])).toEqual([
      '1 signature by L4 or L5 (production: rules in force)',
    ]);
    expect(missing([vote('carol', 'L4'), vote('dave', 'L5')])).toEqual([]);
  });

  it('count for every demand that they fit, which is said once', () => {
    const demands = [demand(), demand({ environment: 'staging' }), demand({ rules: 'new', roles: ['L5'] })];
    expect(missing([vote('dave', 'L5')], rosters(), demands)).toEqual([
      '1 signature by L4 or L5 (production, staging: rules in force)',
      '1 signature by L5 (production: rules of the update)',
    ]);
  });

  it('stop counting with their key, here or in the update', () => {
    const votes = [vote('carol', 'L4'), vote('dave', 'L5')];
    const gone = { ...CAROL, key_active: false };
    expect(missing(votes, rosters({ now: { 'carol-key': gone, 'dave-key': DAVE } }))).toHaveLength(1);
    expect(missing(votes, rosters({ coming: { 'carol-key': gone, 'dave-key': DAVE } }))).toHaveLength(1);
    expect(missing(votes, rosters({ now: { 'dave-key': DAVE } }))).toHaveLength(1);
  });

  it('do not count in a role that the roster in force does not give', () => {
    const promoted = member('carol', ['L4', 'L5']);
    const only = [demand({ roles: ['L5'], min_signatures: 1 })];
    expect(missing([vote('carol', 'L5')], rosters({ coming: { 'carol-key': promoted } }), only)).toHaveLength(
      1,
    );
  });

  it('are never fewer for one vote more', () => {
    const votes = fc.array(
      fc.record({
        principal: fc.constantFrom('carol', 'dave', 'eve'),
        role: fc.constantFrom('L3', 'L4', 'L5'),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(votes, votes, (first, more) => {
        const of = (list: { principal: string; role: string }[]) =>
          missingVotes(
            [demand()],
            list.map(({ principal, role }) => vote(principal, role)),
            rosters(),
          )[0]?.missing ?? 0;
        expect(of([...first, ...more])).toBeLessThanOrEqual(of(first));
      }),
    );
  });
});

describe('who may vote', () => {
  const judge = (who: HoldVote, answer: string, by = rosters(), votes: HoldVote[] = []) =>
    judgeVote(who, answer, { demands: [demand()], votes }, by)?.refused ?? null;

  it('is whom a demand asks for, once', () => {
    expect(judge(vote('carol', 'L4'), 'approve')).toBeNull();
    expect(judge(vote('carol', 'L4'), 'reject')).toBeNull();
    expect(judge(vote('carol', 'L4'), 'approve', rosters(), [vote('carol', 'L4')])).toBe(
      'approval.duplicate_person',
    );
    expect(judge(vote('carol', 'L3'), 'approve')).toBe('approval.role_not_required');
  });

  it('may still reject after a signature: people learn', () => {
    expect(judge(vote('carol', 'L4'), 'reject', rosters(), [vote('carol', 'L4')])).toBeNull();
  });

  it('is not whose key the update revokes, for or against', () => {
    const coming = { 'carol-key': { ...CAROL, key_active: false }, 'dave-key': DAVE };
    expect(judge(vote('carol', 'L4'), 'approve', rosters({ coming }))).toBe('approval.revoked_key');
    expect(judge(vote('carol', 'L4'), 'reject', rosters({ coming }))).toBe('approval.revoked_key');
  });

  it('can let in an update that drops them from the roster, and not keep it out', () => {
    const coming = { 'dave-key': DAVE };
    expect(judge(vote('carol', 'L4'), 'approve', rosters({ coming }))).toBeNull();
    expect(judge(vote('carol', 'L4'), 'reject', rosters({ coming }))).toBe('approval.revoked_key');
  });

  it('is judged by all rosters that are asked, which must agree about a key', () => {
    const inForce = (environment: string) =>
      environment === 'production'
        ? roster({ 'carol-key': CAROL })
        : roster({ 'carol-key': { ...CAROL, status: 'suspended' }, 'dave-key': DAVE });
    const demands = [demand(), demand({ environment: 'staging' })];
    const joint = jointRoster(demands, { inForce, coming: [] });
    expect(joint?.byKey('carol-key')?.key_active).toBe(false);
    expect(joint?.byKey('dave-key')?.key_active).toBe(true);
    expect(joint?.byKey('nobody')).toBeNull();
    expect(jointRoster(demands, { inForce: () => null, coming: [] })).toBeNull();
  });
});

it('binds the whole site target', () => {
  const target = { site: 'a.example', serial: 2, environments: {} };
  expect(siteTargetDigest(target)).toBe(siteTargetDigest({ environments: {}, serial: 2, site: 'a.example' }));
  expect(siteTargetDigest({ ...target, effective_at: '2031-01-01T00:00:00Z' })).not.toBe(
    siteTargetDigest(target),
  );
});
