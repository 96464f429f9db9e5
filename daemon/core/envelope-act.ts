import { canonicalText } from '../formats/canonical-json.ts';
import { isCommitment } from '../formats/commitment.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { BundlePrivacy } from './bundle-privacy.ts';
import type { Decision } from './decision.ts';
import { type Refusal, refuse } from './refusal.ts';

/** What a signed act of kind `shred` may ask of a decision's envelope. */
export type EnvelopeAnswer = 'shred' | 'withhold' | 'release';

/** How one sensitive field of a decision stands. */
export type FieldState =
  | 'sealed'
  /** Kept, and not to be shown. */
  | 'withheld'
  /** Destroyed. */
  | 'shredded'
  /** Never kept: the request was denied. */
  | 'unkept'
  /** Neither there nor destroyed by an entry. */
  | 'missing';

/** Names of the payload fields that a decision's entry holds commitments of, sorted. */
export function sensitiveFields({ action }: Pick<Decision, 'action'>): string[] {
  return Object.entries(action.payload)
    .filter(([, value]) => isCommitment(value))
    .map(([field]) => field)
    .sort();
}

/** What a signature about an envelope binds: the action, and the fields (null: all of them). */
export function envelopeDigests(
  decision: Pick<Decision, 'action_digest'>,
  fields: readonly string[] | null,
): Record<string, string> {
  return {
    action: decision.action_digest,
    fields: sha256Hex(canonicalText(fields === null ? null : [...fields])),
  };
}

/** The roles that may; none where the policy names nobody. */
export function envelopeRoles(privacy: BundlePrivacy | undefined, answer: string): readonly string[] {
  return (answer === 'shred' ? privacy?.shred_roles : privacy?.withhold_roles) ?? [];
}

/**
 * Whether this may be done to these fields as they stand. A decision whose tool may still run keeps its values: without
 * them a permit would be redeemed for nothing.
 */
export function judgeEnvelopeAct(
  answer: EnvelopeAnswer,
  decision: Pick<Decision, 'decision_id' | 'status' | 'permit_state'>,
  states: ReadonlyMap<string, FieldState>,
  fields: readonly string[] | null,
): Refusal | null {
  const { decision_id: id } = decision;
  const unknown = fields?.find((field) => !states.has(field));
  if (states.size === 0 || unknown !== undefined) {
    const what = unknown === undefined ? 'no sensitive field' : `no sensitive field ${unknown.slice(0, 64)}`;
    return refuse('envelope.no_field', `The record of ${id} has ${what}; nothing was changed.`);
  }
  const chosen = (fields ?? [...states.keys()]).map((field) => states.get(field));
  if (answer === 'shred' && mayStillRun(decision)) {
    return refuse(
      'envelope.in_use',
      `${id} may still be executed and needs its values; nothing was destroyed. Cancel it first: holdfast decision cancel ${id}`,
    );
  }
  const wanted: readonly (FieldState | undefined)[] =
    answer === 'shred'
      ? ['sealed', 'withheld', 'missing']
      : answer === 'withhold'
        ? ['sealed']
        : ['withheld'];
  if (chosen.some((state) => wanted.includes(state))) return null;
  return refuse('envelope.wrong_state', `${STANDS[answer]} of ${id}; nothing was changed.`);
}

const STANDS: Readonly<Record<EnvelopeAnswer, string>> = {
  shred: 'There is no value left to destroy',
  withhold: 'There is no value left to withhold',
  release: 'Nothing is withheld',
};

function mayStillRun({ status, permit_state }: Pick<Decision, 'status' | 'permit_state'>): boolean {
  if (status === 'evaluated' || status === 'pending_authority') return true;
  return status === 'authorized' && (permit_state === 'issued' || permit_state === 'none');
}
