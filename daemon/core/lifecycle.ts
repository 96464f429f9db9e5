import type { EntryType } from '../formats/entry.ts';
import type { DecisionStatus, PermitState } from './decision.ts';
import { type Refusal, refuse } from './refusal.ts';

/** What can be done to a decision. `expire` comes from the clock, the rest from a caller. */
export type LifecycleCommand =
  | 'create'
  | 'approve'
  | 'except'
  | 'cancel'
  | 'expire'
  | 'redeem'
  | 'report'
  | 'reconcile'
  | 'review';

interface Row {
  /** States the command may meet; everything else is refused. */
  from: readonly DecisionStatus[];
  /** Where the permit must stand, if that matters. */
  permit?: readonly PermitState[];
  /** The entries the command may make, each with the states the decision then passes through. */
  makes: { readonly [entry in EntryType]?: readonly (readonly DecisionStatus[])[] };
}

/**
 * The decision lifecycle: state × command → entry and next states (design: "The decision"). What is not in this table
 * does not happen. `denied`, `expired`, `cancelled` and `reviewed` appear in no `from`: they are final.
 */
export const LIFECYCLE: Readonly<Record<LifecycleCommand, Row>> = {
  create: {
    from: ['draft'],
    makes: {
      'decision.authorized': [['draft', 'evaluated', 'authorized']],
      'decision.pending_authority': [['draft', 'evaluated', 'pending_authority']],
      'decision.queued': [['draft', 'evaluated']],
      'decision.denied': [['draft', 'evaluated', 'denied']],
    },
  },
  approve: {
    from: ['pending_authority'],
    makes: { 'approval.added': [[], ['authorized'], ['denied']], 'approval.rejected': [[]] },
  },
  except: {
    from: ['pending_authority'],
    makes: { 'exception.granted': [[], ['authorized']], 'approval.rejected': [[]] },
  },
  cancel: {
    from: ['evaluated', 'pending_authority', 'authorized'],
    permit: ['none', 'issued'],
    makes: { 'decision.cancelled': [['cancelled']] },
  },
  expire: {
    from: ['evaluated', 'pending_authority', 'authorized'],
    permit: ['none', 'issued'],
    makes: { 'decision.expired': [['expired']] },
  },
  redeem: { from: ['authorized'], permit: ['issued'], makes: { 'permit.redeemed': [[]] } },
  report: { from: ['authorized'], permit: ['redeemed'], makes: { 'permit.outcome': [['executed']] } },
  reconcile: { from: ['executed'], permit: ['unknown'], makes: { 'decision.reconciled': [[]] } },
  review: {
    from: ['executed'],
    permit: ['succeeded', 'failed'],
    makes: { 'decision.reviewed': [['reviewed']] },
  },
};

/** How a decision stands, for messages: follows "Decision ID …". */
const STANDS: Readonly<Record<DecisionStatus, string>> = {
  draft: 'is not evaluated yet',
  evaluated: 'is queued',
  pending_authority: 'still waits for authority',
  authorized: 'is authorized already',
  executed: 'was executed already',
  reviewed: 'is reviewed',
  denied: 'is denied',
  expired: 'is expired',
  cancelled: 'is cancelled',
};

/** What each command needs, for messages: follows "Only …". */
const NEEDS: Readonly<Record<LifecycleCommand, string>> = {
  create: 'a new request can be decided',
  approve: 'a decision that waits for authority can be approved or rejected',
  except: 'a decision that waits for authority can be given an exception',
  cancel: 'a decision that was not executed can be cancelled',
  expire: 'a decision that was not executed can expire',
  redeem: 'an authorized decision has a permit to redeem',
  report: 'an authorized decision whose permit was redeemed has an outcome to report',
  reconcile: 'an executed decision whose outcome is unknown can be reconciled',
  review: 'an executed decision can be reviewed',
};

const TERMINAL: readonly DecisionStatus[] = ['denied', 'expired', 'cancelled', 'reviewed'];

const SPENT: readonly PermitState[] = ['redeemed', 'succeeded', 'failed', 'unknown'];

/** Null when the table lets `command` meet a decision that stands like this; the refusal otherwise. */
export function checkLifecycle(
  command: LifecycleCommand,
  decision: { decision_id: string; status: DecisionStatus; permit_state: PermitState },
): Refusal | null {
  const row = LIFECYCLE[command];
  // Whatever state a spent permit left the decision in: "used before" is what its holder has to hear.
  if (command === 'redeem' && SPENT.includes(decision.permit_state)) {
    return refuse(...permitRefusal(command, decision.decision_id, decision.permit_state));
  }
  if (row.from.includes(decision.status)) {
    if (row.permit === undefined || row.permit.includes(decision.permit_state)) return null;
    return refuse(...permitRefusal(command, decision.decision_id, decision.permit_state));
  }
  if (TERMINAL.includes(decision.status)) {
    return refuse(
      'decision.terminal',
      `Decision ${decision.decision_id} ${STANDS[decision.status]}, which is final: nothing was changed. Ask for a new decision.`,
    );
  }
  return refuse(
    'decision.wrong_state',
    `Decision ${decision.decision_id} ${STANDS[decision.status]}. Only ${NEEDS[command]}. Nothing was changed.`,
  );
}

/** There is nothing to do it to. */
export function noDecision(id: string | undefined): Refusal {
  return refuse(
    'decision.not_found',
    `There is no decision ${id} at this site; nothing was done. Look it up: holdfast decision list`,
  );
}

function permitRefusal(
  command: LifecycleCommand,
  id: string,
  state: PermitState,
): [
  'permit.already_redeemed' | 'permit.not_redeemed' | 'permit.outcome_known' | 'decision.wrong_state',
  string,
] {
  switch (command) {
    case 'redeem':
      return [
        'permit.already_redeemed',
        `The permit of ${id} was redeemed before. A permit works once: nothing may run.`,
      ];
    case 'report':
      return [
        'permit.not_redeemed',
        `The permit of ${id} was never redeemed, so no outcome can belong to it. Nothing was recorded.`,
      ];
    case 'reconcile':
      return [
        'permit.outcome_known',
        `The outcome of ${id} is ${state}, not unknown: there is nothing to reconcile.`,
      ];
    case 'cancel':
    case 'expire':
      return [
        'permit.already_redeemed',
        `The permit of ${id} was already redeemed: what it allowed has started and cannot be called back here.`,
      ];
    default:
      return [
        'decision.wrong_state',
        `The outcome of ${id} is ${state}: reconcile it first (holdfast decision reconcile ${id}).`,
      ];
  }
}

/**
 * Asserts that an entry about to be written is one the table foresees. A violation is a bug of ours, so it throws: the
 * command is answered with a failure and nothing is recorded.
 */
export function assertTransition(
  command: LifecycleCommand,
  type: EntryType,
  transitions: readonly DecisionStatus[],
): void {
  const foreseen = LIFECYCLE[command].makes[type];
  const key = transitions.join(' ');
  if (foreseen?.some((path) => path.join(' ') === key) !== true) {
    throw new Error(`lifecycle: ${command} may not make ${type} through [${key}]`);
  }
}
