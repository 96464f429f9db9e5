import { describe, expect, test } from 'vitest';
import type { DecisionStatus, PermitState } from '../../daemon/core/decision.ts';
import {
  assertTransition,
  checkLifecycle,
  LIFECYCLE,
  type LifecycleCommand,
} from '../../daemon/core/lifecycle.ts';

const STATUSES: DecisionStatus[] = [
  'draft',
  'evaluated',
  'pending_authority',
  'authorized',
  'executed',
  'reviewed',
  'denied',
  'expired',
  'cancelled',
];
const PERMITS: PermitState[] = ['none', 'issued', 'redeemed', 'succeeded', 'failed', 'unknown'];
const COMMANDS = Object.keys(LIFECYCLE) as LifecycleCommand[];

/** The whole table, written out once more by hand: what may happen, and nothing else. */
const ALLOWED = new Set([
  ...PERMITS.map((permit) => `create draft ${permit}`),
  ...PERMITS.map((permit) => `approve pending_authority ${permit}`),
  ...PERMITS.map((permit) => `except pending_authority ${permit}`),
  ...['evaluated', 'pending_authority', 'authorized'].flatMap((status) =>
    ['none', 'issued'].flatMap((permit) => [`cancel ${status} ${permit}`, `expire ${status} ${permit}`]),
  ),
  'redeem authorized issued',
  'report authorized redeemed',
  'reconcile executed unknown',
  'review executed succeeded',
  'review executed failed',
]);

describe('the lifecycle table', () => {
  test('allows exactly these combinations of command, state and permit', () => {
    const allowed = COMMANDS.flatMap((command) =>
      STATUSES.flatMap((status) =>
        PERMITS.filter(
          (permit_state) => checkLifecycle(command, { decision_id: 'dec_1', status, permit_state }) === null,
        ).map((permit) => `${command} ${status} ${permit}`),
      ),
    );
    expect(new Set(allowed)).toEqual(ALLOWED);
  });

  test('a refusal says how the decision stands and what would be needed, without the names of states', () => {
    const refusal = checkLifecycle('approve', {
      decision_id: 'dec_1',
      status: 'authorized',
      permit_state: 'issued',
    });
    expect(refusal?.message).toBe(
      'Decision dec_1 is authorized already. Only a decision that waits for authority can be approved or rejected. Nothing was changed.',
    );
  });

  test.each(['denied', 'expired', 'cancelled', 'reviewed'] as const)('%s is final', (status) => {
    for (const command of COMMANDS) {
      const refusal = checkLifecycle(command, { decision_id: 'dec_1', status, permit_state: 'none' });
      expect(refusal?.refused).toBe('decision.terminal');
    }
  });

  test.each(['authorized', 'executed', 'reviewed'] as const)(
    'redeeming a spent permit of a decision that is %s says that it was used',
    (status) => {
      for (const permit_state of ['redeemed', 'succeeded', 'failed', 'unknown'] as const) {
        const refusal = checkLifecycle('redeem', { decision_id: 'dec_1', status, permit_state });
        expect(refusal?.refused).toBe('permit.already_redeemed');
      }
    },
  );

  test('a redeemed permit cannot be redeemed, cancelled or expired', () => {
    for (const command of ['redeem', 'cancel', 'expire'] as const) {
      const refusal = checkLifecycle(command, {
        decision_id: 'dec_1',
        status: 'authorized',
        permit_state: 'redeemed',
      });
      expect(refusal?.refused).toBe('permit.already_redeemed');
    }
  });

  test('an entry that the table does not foresee is a bug, not a record', () => {
    expect(() => assertTransition('approve', 'approval.added', ['authorized'])).not.toThrow();
    expect(() => assertTransition('create', 'decision.authorized', ['draft', 'authorized'])).toThrow(
      /lifecycle/,
    );
    expect(() => assertTransition('cancel', 'decision.authorized', ['authorized'])).toThrow(/lifecycle/);
  });
});
