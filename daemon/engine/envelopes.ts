import type { Decision } from '../core/decision.ts';
import { type FieldState, sensitiveFields } from '../core/envelope-act.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { SealedValues } from '../core/sensitive.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { EntryActor } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Batch, EngineState, Recorded } from './context.ts';

/*
 * Envelopes: the sensitive values of a decision, encrypted beside the ledger. Entries, permits and digests hold salted
 * commitments only, so an envelope can be opened, or destroyed, and every proof stays what it is.
 */

/** Stream of the entries about envelopes that are not about one decision's course. */
export const ENVELOPE_STREAM = 'envelopes';

/** Most decisions in one `envelope.shredded`: their ids must fit into one entry. */
export const SHRED_MAX = 1_000;

/** Why envelopes are destroyed, by whom, and what shows that they may. */
export interface Shredding {
  actor: EntryActor;
  /** Free text for people; it must hold nothing that may not be recorded. */
  reason: string;
  /** Only these fields; absent: all of each envelope. */
  fields?: readonly string[];
  /** Recorded even where nothing is left to destroy, so that what comes back with an old copy stays shut. */
  always?: boolean;
  /** More members of the entry's `data`: a counted act, the rule of a retention policy. */
  evidence?: JsonObject;
}

/**
 * What opens the commitments of a decision: salt and value by field, without those that were shredded. Null when nothing
 * is left, or never was. Withheld fields are in it: whoever shows values asks `withheldFields` too. Throws
 * `BoundaryError` `sealed.damaged` when the envelope is not this decision's, was changed, or its key is gone.
 */
export function openEnvelope(state: EngineState, decision: string): SealedValues | null {
  const sealed = state.projections.envelopes.get(decision);
  if (sealed === null) return null;
  const gone = shreddedFields(state, decision);
  // A row that came back with an old copy of the database stays shredded: the ledger says that it is gone.
  if (gone === 'all') return null;
  const values = JSON.parse(
    Buffer.from(state.sealer.open(sealed, decision)).toString('utf8'),
  ) as SealedValues;
  for (const field of gone) delete values[field];
  return Object.keys(values).length === 0 ? null : values;
}

/** Null where the payload has no sensitive field. */
export interface ToolValues {
  values: SealedValues | null;
}

const NO_VALUES: ToolValues = { values: null };

/**
 * The values that the tool of a decision gets. A refusal where any of them
 * cannot be had, so that no permit is spent on a run without them.
 */
export function valuesForTool(state: EngineState, decision: Decision): ToolValues | Refusal {
  const fields = sensitiveFields(decision);
  if (fields.length === 0) return NO_VALUES;
  const values = openableOrNothing(state, decision.decision_id);
  if (values !== null && fields.every((field) => Object.hasOwn(values, field))) return { values };
  return refuse(
    'permit.values_gone',
    `The sensitive values of ${decision.decision_id} were destroyed or cannot be opened any more, so its tool would run without them. Nothing may run; ask again. What became of them: holdfast decision replay ${decision.decision_id}`,
  );
}

/** How every sensitive field of a decision stands, by its name. */
export function fieldStates(state: EngineState, decision: Decision): Map<string, FieldState> {
  const fields = sensitiveFields(decision);
  if (fields.length === 0) return new Map();
  const id = decision.decision_id;
  const shredded = shreddedFields(state, id);
  const withheld = withheldFields(state, id);
  const there = openableOrNothing(state, id) ?? {};
  const kept = decision.status !== 'denied' || state.projections.envelopes.has(id);
  const stateOf = (field: string): FieldState => {
    if (shredded === 'all' || shredded.includes(field)) return 'shredded';
    if (!Object.hasOwn(there, field)) return kept ? 'missing' : 'unkept';
    return withheld.includes(field) ? 'withheld' : 'sealed';
  };
  return new Map(fields.map((field) => [field, stateOf(field)]));
}

/** Keeps the values of a decision, encrypted, in the batch's transaction. */
export function sealEnvelope(batch: Batch, decision: string, values: SealedValues): void {
  const { sealer, projections } = batch.state;
  projections.envelopes.put(decision, sealer.seal(Buffer.from(JSON.stringify(values)), decision));
}

/** The fields of a decision whose values were destroyed; `all` when the whole envelope was. */
function shreddedFields({ projections }: EngineState, decision: string): 'all' | readonly string[] {
  if (projections.standing('shredded', decision) !== null) return 'all';
  return projections.standingFields('shredded', decision).map(({ field }) => field);
}

/** The fields of a decision that are kept and not to be shown, until that is taken back. */
export function withheldFields({ projections }: EngineState, decision: string): readonly string[] {
  return projections
    .standingFields('withheld', decision)
    .flatMap(({ field, state }) => (state === 'closed' ? [] : field));
}

/**
 * Destroys the envelopes of up to 1,000 decisions (or some of their fields) and records it as one `envelope.shredded`, in
 * the batch's transaction. Decisions without an envelope are left out; null when none is left: then nothing is recorded.
 */
export function shredEnvelopes(batch: Batch, decisions: readonly string[], why: Shredding): Recorded | null {
  if (decisions.length > SHRED_MAX)
    throw new RangeError(`at most ${SHRED_MAX} envelopes are shredded at once`);
  const { projections } = batch.state;
  const found =
    why.always === true ? decisions : decisions.filter((decision) => projections.envelopes.has(decision));
  if (found.length === 0) return null;
  const recorded = batch.record(ENVELOPE_STREAM, 'envelope.shredded', why.actor, {
    ...why.evidence,
    decisions: [...found],
    fields: why.fields === undefined ? null : [...why.fields],
    reason: why.reason,
  });
  batch.state.envelopes.shredded();
  for (const decision of found) {
    const kept = why.fields === undefined ? null : openableOrNothing(batch.state, decision);
    projections.envelopes.remove(decision);
    // Under a new key: what the old one opened is gone with it.
    if (kept !== null) sealEnvelope(batch, decision, kept);
  }
  return recorded;
}

/** An envelope that cannot be opened holds nothing for anybody. */
function openableOrNothing(state: EngineState, decision: string): SealedValues | null {
  try {
    return openEnvelope(state, decision);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
