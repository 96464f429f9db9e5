import { describe, expect, test } from 'vitest';
import type { RosterMember } from '../../daemon/core/roster.ts';
import { judgeSiteAct, type SiteActContext } from '../../daemon/core/site-act.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';

const NOW = Date.parse('2031-03-01T12:00:00.000Z');
const KEY = 'SHA256:lena';
const PLACE = {
  class: 'restart_service',
  environment: 'production',
  target: { type: 'service', id: 'relay-2' },
};

const LENA: RosterMember = {
  id: 'lena',
  kind: 'human',
  roles: ['L5', 'L3'],
  status: 'active',
  scope: undefined,
  key_active: true,
  pin_required: false,
};

function rosterOf(member: Partial<RosterMember>): SiteActContext['roster'] {
  return {
    byKey: (key) => (key === KEY ? { ...LENA, ...member } : null),
    principal: () => null,
    owns: () => false,
    has_expiries: false,
  };
}

const ACT: SignedAct = {
  type: 'holdfast/act/v1',
  kind: 'breakglass',
  site: 'outpost-7.example',
  subject: 'bg_1',
  subject_digest: { scope: 'a'.repeat(64) },
  answer: 'activate',
  role: 'L5',
  reason: 'the line floods',
  issued_at: '2031-03-01T11:59:00.000Z',
  ttl_seconds: 900,
  nonce: 'n'.repeat(22),
  seen_checkpoint: null,
};

interface Changes {
  act?: Partial<SignedAct>;
  member?: Partial<RosterMember>;
  expected?: Partial<SiteActContext['expected']>;
  context?: Partial<SiteActContext>;
}

function judge({ act = {}, member = {}, expected = {}, context = {} }: Changes = {}) {
  return judgeSiteAct({
    site: 'outpost-7.example',
    act: { ...ACT, ...act },
    key: KEY,
    roster: rosterOf(member),
    nonce_used: false,
    now_ms: NOW,
    time_trust: 'floor',
    ...context,
    expected: {
      subject: 'bg_1',
      digests: { scope: 'a'.repeat(64) },
      answers: ['activate', 'end'],
      roles: ['L4', 'L5'],
      reaches: PLACE,
      uncertain_time: 'reject',
      ...expected,
    },
  });
}

test('an act that says the right thing, in time, by the right person counts', () => {
  expect(judge()).toEqual({ principal: 'lena', role: 'L5' });
});

describe('an act about the site is refused', () => {
  test.each<[string, Changes, string]>([
    ['for another site', { act: { site: 'outpost-8.example' } }, 'approval.wrong_site'],
    ['about something else', { act: { subject: 'bg_2' } }, 'approval.wrong_subject'],
    ['over another digest', { act: { subject_digest: { scope: 'b'.repeat(64) } } }, 'approval.wrong_digest'],
    [
      'over a digest of another name',
      { act: { subject_digest: { policy: 'a'.repeat(64) } } },
      'approval.wrong_digest',
    ],
    ['over no digest', { act: { subject_digest: {} } }, 'approval.wrong_digest'],
    [
      'over a digest too many',
      { act: { subject_digest: { scope: 'a'.repeat(64), policy: 'b'.repeat(64) } } },
      'approval.wrong_digest',
    ],
    ['with an answer that is none', { act: { answer: 'approve' } }, 'approval.malformed'],
    ['a second time', { context: { nonce_used: true } }, 'approval.nonce_used'],
    ['when it is over', { act: { issued_at: '2031-03-01T11:45:00.000Z' } }, 'approval.expired'],
    ['before its time', { act: { issued_at: '2031-03-01T12:06:00.000Z' } }, 'approval.not_yet_valid'],
    ['while the clock is doubted', { context: { time_trust: 'uncertain' } }, 'approval.time_uncertain'],
    ['without a policy', { context: { roster: null } }, 'policy.none'],
    ['by a key of nobody', { context: { key: 'SHA256:other' } }, 'approval.unknown_key'],
    ['by a revoked key', { member: { key_active: false } }, 'approval.revoked_key'],
    ['by a suspended person', { member: { status: 'suspended' } }, 'approval.revoked_key'],
    ['by a revoked person', { member: { status: 'revoked' } }, 'approval.revoked_key'],
    ['by an agent', { member: { kind: 'agent' } }, 'approval.role_not_held'],
    ['by a service', { member: { kind: 'service' } }, 'approval.role_not_held'],
    ['in a role that is not held', { act: { role: 'L4' } }, 'approval.role_not_held'],
    ['in a role that may not', { act: { role: 'L3' } }, 'approval.role_not_required'],
    ['where no role may', { expected: { roles: [] } }, 'approval.role_not_required'],
    ['out of scope by class', { member: { scope: { classes: ['other'] } } }, 'approval.out_of_scope'],
    [
      'out of scope by environment',
      { member: { scope: { environments: ['staging'] } } },
      'approval.out_of_scope',
    ],
    [
      'out of scope by target',
      { member: { scope: { targets: ['service:relay-22'] } } },
      'approval.out_of_scope',
    ],
  ])('%s', (_what, changes, code) => {
    expect(judge(changes)).toMatchObject({ refused: code });
  });

  test('for the first real cause, in the order thing, time, person', () => {
    const all: Changes = {
      act: { site: 'outpost-8.example', subject: 'bg_2', answer: 'no', role: 'L1' },
      context: { nonce_used: true, time_trust: 'uncertain', key: 'SHA256:other' },
    };
    const codes = [
      judge(all),
      judge({ ...all, act: { subject: 'bg_2', answer: 'no', role: 'L1' } }),
      judge({ ...all, act: { answer: 'no', role: 'L1' } }),
      judge({ ...all, act: { role: 'L1' } }),
      judge({ ...all, act: { role: 'L1' }, context: { time_trust: 'uncertain', key: 'SHA256:other' } }),
      judge({ act: { role: 'L1' }, context: { key: 'SHA256:other' } }),
      judge({ act: { role: 'L1' } }),
    ].map((refusal) => ('refused' in refusal ? refusal.refused : null));
    expect(codes).toEqual([
      'approval.wrong_site',
      'approval.wrong_subject',
      'approval.malformed',
      'approval.nonce_used',
      'approval.time_uncertain',
      'approval.unknown_key',
      'approval.role_not_held',
    ]);
  });
});

describe('what narrows or restores the time', () => {
  const doubted: Changes = { context: { time_trust: 'uncertain' }, expected: { uncertain_time: 'accept' } };

  test('counts while the clock is doubted, whatever the act says of its time', () => {
    expect(judge(doubted)).toEqual({ principal: 'lena', role: 'L5' });
    expect(judge({ ...doubted, act: { issued_at: '1999-01-01T00:00:00.000Z' } })).toEqual({
      principal: 'lena',
      role: 'L5',
    });
  });

  test('is held to its time by a clock that is believed', () => {
    const act = { issued_at: '1999-01-01T00:00:00.000Z' };
    expect(judge({ act, expected: { uncertain_time: 'accept' } })).toMatchObject({
      refused: 'approval.expired',
    });
  });

  test('counts once all the same', () => {
    const again = { ...doubted, context: { time_trust: 'uncertain' as const, nonce_used: true } };
    expect(judge(again)).toMatchObject({ refused: 'approval.nonce_used' });
  });
});

test('an act about the site as a whole needs no reach', () => {
  const member = { scope: { classes: ['other'] } };
  expect(judge({ member, expected: { reaches: null } })).toEqual({ principal: 'lena', role: 'L5' });
});
