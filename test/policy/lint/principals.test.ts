import { expect, it } from 'vitest';
import type { Bundle, BundlePrincipal } from '../../../daemon/core/bundle.ts';
import { peopleChanges } from '../../../daemon/policy/diff/people.ts';
import { principalFindings } from '../../../daemon/policy/lint/principals.ts';
import { sampleBundle } from '../../core/sample.ts';

function withAgent(changes: Partial<BundlePrincipal>): Bundle {
  const bundle = sampleBundle();
  // The sample has a revoked agent without an owner, which answers for nothing any more.
  const agent: BundlePrincipal = {
    kind: 'agent',
    roles: ['agent'],
    status: 'active',
    owner: 'alice',
    ...changes,
  };
  if (changes.owner === '') delete agent.owner;
  bundle.principals['agent:ops-1'] = agent;
  return bundle;
}

it.each<[string, Partial<BundlePrincipal>, string[]]>([
  ['nothing of a good one', {}, []],
  ['an agent that nobody answers for', { owner: '' }, ['principal.no_owner']],
  ['nothing of one that is revoked', { owner: '', status: 'revoked' }, []],
  ['an owner whom the roster does not have', { owner: 'mallory' }, ['principal.unknown_owner']],
  ['an owner that is no person', { owner: 'service:cron' }, ['principal.unknown_owner']],
  ['one that is over before it begins', { expires_at: '2025-12-31T00:00:00Z' }, ['principal.expired']],
  ['nothing of one with time left', { expires_at: '2026-12-31T00:00:00Z' }, []],
  [
    'an ID of a site that the policy is not for',
    { spiffe_id: 'spiffe://elsewhere.example/a' },
    ['principal.other_site'],
  ],
  ['nothing of an ID for every site', { spiffe_id: 'spiffe://{{site}}/a' }, []],
  ['an audience that anybody can be', { audiences: ['gateway'] }, ['principal.audience']],
  ['nothing of one with an identity', { audiences: ['gateway'], uid: 7 }, []],
])('finds %s', (_, changes, found) => {
  expect(principalFindings(withAgent(changes)).map(({ check }) => check)).toEqual(found);
});

it('a change of standing is told in words', () => {
  const changes = peopleChanges(
    withAgent({ capabilities: ['restart'], may_assert: ['agent'], risk_tier: 'low' }),
    withAgent({
      capabilities: ['reboot'],
      expires_at: '2027-01-01T00:00:00Z',
      audiences: ['gateway'],
      revoked_certificates: ['ab'.repeat(32)],
    }),
  );
  expect(changes).toEqual([
    'agent:ops-1 counts until 2027-01-01T00:00:00Z.',
    'agent:ops-1 is now of no risk tier.',
    'agent:ops-1 is now able to reboot.',
    'agent:ops-1 is no longer able to restart.',
    'agent:ops-1 may no longer ask in the name of agent.',
    'agent:ops-1 may now redeem as gateway.',
    `agent:ops-1's certificate ${'ab'.repeat(32)} no longer counts.`,
  ]);
});
