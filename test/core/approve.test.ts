import { describe, expect, test } from 'vitest';
import {
  type ActContext,
  completesAuthority,
  groupOf,
  judgeAct,
  judgeReviewer,
} from '../../daemon/core/approve.ts';
import type { Decision } from '../../daemon/core/decision.ts';
import type { DecisionRecord } from '../../daemon/core/fold.ts';
import { isRefusal } from '../../daemon/core/refusal.ts';
import type { Roster, RosterMember } from '../../daemon/core/roster.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';

const NOW = Date.parse('2031-03-01T12:00:00.000Z');

const decision: Decision = {
  decision_id: 'dec_1',
  policy_version: 'field-site@1',
  policy_digest: 'p'.repeat(64),
  action_digest: 'a'.repeat(64),
  status: 'pending_authority',
  action: {
    class: 'install_firmware',
    intent: 'fix the pump',
    target: { type: 'device', id: 'pump-1' },
    payload: {},
  },
  context: {
    actor: { id: 'agent:ops-1', role: 'agent' },
    environment: 'production',
    request_source: null,
    trace: { correlation_id: null, parent_id: null },
    labels: {},
  },
  policy: { gates: [], exceptions: [] },
  risk: { band: 'high', score: 0.8, reasons: [] },
  authority: {
    required: [
      { group: 'peer', roles: ['l3'], min_signatures: 1 },
      { group: 'safety', roles: ['safety_officer'], min_signatures: 1 },
    ],
    received: [],
    satisfied: false,
  },
  ledger: { write_state: 'confirmed', record_id: 3 },
  enforcement: { default: 'deny', result: 'escalate', allow_if: [], reasons: [] },
  timestamps: { created_at: '', updated_at: '' },
  expires_at: null,
  linked_to: null,
  time_trust: 'floor',
  permit_state: 'none',
  outcome: null,
  reviews: [],
};

const record = (changes: Partial<Decision> = {}): DecisionRecord => ({
  decision: { ...decision, ...changes },
  first_index: 0,
  permit_index: null,
  permit_time_trust: null,
  call: null,
  tool: 'installer',
  audience: 'gateway',
  permit_ttl_ms: 60_000,
  acts: 0,
  strangers: 0,
});

const alice: RosterMember = {
  id: 'alice',
  kind: 'human',
  roles: ['l3'],
  status: 'active',
  scope: undefined,
  key_active: true,
  pin_required: false,
};

function roster(members: Record<string, RosterMember>, owners: Record<string, string> = {}): Roster {
  return {
    has_expiries: false,
    byKey: (key) => members[key] ?? null,
    principal: () => null,
    owns: (owner, id) => id !== null && owners[id] === owner,
  };
}

const act: SignedAct = {
  type: 'holdfast/act/v1',
  kind: 'approval',
  site: 'outpost-7.example',
  subject: 'dec_1',
  subject_digest: { action: decision.action_digest, policy: decision.policy_digest ?? '' },
  answer: 'approve',
  role: 'l3',
  reason: 'looked at it',
  issued_at: '2031-03-01T11:59:00.000Z',
  ttl_seconds: 3600,
  nonce: 'n'.repeat(22),
  seen_checkpoint: null,
};

const context = (changes: Partial<ActContext> = {}): ActContext => ({
  site: 'outpost-7.example',
  record: record(),
  act,
  key: 'K',
  pinned: roster({ K: alice }),
  current: roster({ K: alice }),
  nonce_used: false,
  now_ms: NOW,
  time_trust: 'floor',
  ...changes,
});

test('the right person, the right role, the right bytes: accepted', () => {
  expect(judgeAct(context())).toEqual({ principal: 'alice', role: 'l3' });
});

const voted = { principal: 'alice', role: 'l3', group: 'peer', key: 'K', nonce: 'x', at: '' };

describe('every way in which an act does not count', () => {
  const table: [string, string, Partial<ActContext>][] = [
    ['another site', 'approval.wrong_site', { site: 'outpost-8.example' }],
    ['another decision', 'approval.wrong_subject', { act: { ...act, subject: 'dec_2' } }],
    [
      'another action',
      'approval.wrong_digest',
      { act: { ...act, subject_digest: { ...act.subject_digest, action: 'b'.repeat(64) } } },
    ],
    [
      'another policy',
      'approval.wrong_digest',
      { act: { ...act, subject_digest: { ...act.subject_digest, policy: 'b'.repeat(64) } } },
    ],
    ['no digests at all', 'approval.wrong_digest', { act: { ...act, subject_digest: {} } }],
    ['an expired act', 'approval.expired', { act: { ...act, ttl_seconds: 30 } }],
    ['the very moment it expires', 'approval.expired', { act: { ...act, ttl_seconds: 60 } }],
    ['an act from the future', 'approval.not_yet_valid', { now_ms: NOW - 10 * 60_000 }],
    ['a clock nobody trusts', 'approval.time_uncertain', { time_trust: 'uncertain' }],
    ['a replayed nonce', 'approval.nonce_used', { nonce_used: true }],
    ["nobody's key", 'approval.unknown_key', { key: 'L' }],
    [
      'a key revoked when the decision was made',
      'approval.revoked_key',
      { pinned: roster({ K: { ...alice, key_active: false } }) },
    ],
    [
      'a key revoked since',
      'approval.revoked_key',
      { current: roster({ K: { ...alice, key_active: false } }) },
    ],
    [
      'a person suspended since',
      'approval.revoked_key',
      { current: roster({ K: { ...alice, status: 'suspended' } }) },
    ],
    ['a key that is no longer in the roster', 'approval.revoked_key', { current: roster({}) }],
    [
      'a key given to somebody else since',
      'approval.revoked_key',
      { current: roster({ K: { ...alice, id: 'eve' } }) },
    ],
    ['an agent', 'approval.role_not_held', { pinned: roster({ K: { ...alice, kind: 'agent' } }) }],
    [
      'the requester',
      'approval.self',
      {
        record: record({
          context: { ...decision.context, actor: { id: 'alice', role: null } },
        }),
      },
    ],
    [
      'the owner of the requesting agent',
      'approval.self',
      { current: roster({ K: alice }, { 'agent:ops-1': 'alice' }) },
    ],
    ['a role that is not held', 'approval.role_not_held', { act: { ...act, role: 'safety_officer' } }],
    [
      'a role that nobody asks for',
      'approval.role_not_required',
      { act: { ...act, role: 'l2' }, pinned: roster({ K: { ...alice, roles: ['l2'] } }) },
    ],
    [
      'a scope that ends before this class',
      'approval.out_of_scope',
      { pinned: roster({ K: { ...alice, scope: { classes: ['restart_service'] } } }) },
    ],
    [
      'a scope that ends before this environment',
      'approval.out_of_scope',
      { pinned: roster({ K: { ...alice, scope: { environments: ['staging'] } } }) },
    ],
    [
      'a scope that ends before this target',
      'approval.out_of_scope',
      { pinned: roster({ K: { ...alice, scope: { targets: ['device:pump-2'] } } }) },
    ],
    [
      'the same person twice',
      'approval.duplicate_person',
      {
        record: record({
          authority: { ...decision.authority, received: [{ ...voted, answer: 'approve' }] },
        }),
      },
    ],
  ];

  test.each(table)('%s → %s', (_, code, changes) => {
    const judged = judgeAct(context(changes));
    expect(isRefusal(judged) && judged.refused).toBe(code);
  });
});

test('a rejection may come from any role in the roster, asked for or not', () => {
  const rejecting = context({
    act: { ...act, answer: 'reject', role: 'l2' },
    pinned: roster({ K: { ...alice, roles: ['l2'] } }),
  });
  expect(judgeAct(rejecting)).toEqual({ principal: 'alice', role: 'l2' });
});

test('a reviewer needs no role that a group asks for, and is never the requester', () => {
  const reviewing = context({
    act: { ...act, role: 'l2' },
    pinned: roster({ K: { ...alice, roles: ['l2'] } }),
  });
  expect(judgeReviewer(reviewing)).toEqual({ principal: 'alice', role: 'l2' });
  const own = context({
    record: record({ context: { ...decision.context, actor: { id: 'alice', role: null } } }),
  });
  expect(judgeReviewer(own)).toMatchObject({ refused: 'approval.self' });
});

describe('completion', () => {
  const inForce = roster({ [voted.key]: alice });

  test('the second group completes what the first began', () => {
    const half = {
      ...decision,
      authority: { ...decision.authority, received: [{ ...voted, answer: 'approve' as const }] },
    };
    expect(completesAuthority(decision, { vote: { principal: 'alice', role: 'l3' } }, null)).toBe(false);
    expect(completesAuthority(half, { vote: { principal: 'bob', role: 'safety_officer' } }, inForce)).toBe(
      true,
    );
    expect(groupOf(half, { principal: 'bob', role: 'safety_officer' }, inForce)).toBe('safety');
  });

  test('an open exception keeps a signed decision pending', () => {
    const gate = { id: 'window', result: 'requires_exception' as const, reason: '', exception_role: 'l4' };
    const held = {
      ...decision,
      policy: { gates: [gate], exceptions: [] },
      authority: { required: [], received: [], satisfied: false },
    };
    expect(completesAuthority(held, {}, inForce)).toBe(false);
    expect(completesAuthority(held, { gate: 'window' }, inForce)).toBe(true);
  });
});
