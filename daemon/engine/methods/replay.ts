import type { CompiledBundle } from '../../core/compile.ts';
import type { FirstData } from '../../core/create.ts';
import type { FieldState } from '../../core/envelope-act.ts';
import { refuse } from '../../core/refusal.ts';
import { differences, replayDecision } from '../../core/replay.ts';
import { candidateDifferences } from '../../core/shadow-candidate.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { decodeEntry, type Entry } from '../../formats/entry.ts';
import { type EngineState, loadDecision } from '../context.ts';
import { fieldStates } from '../envelopes.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';

/**
 * `decisions.replay`: judges a decision again from its first entry, under the bundle that it is pinned to. `differences`
 * is empty when the verdict is the recorded one. Changes nothing.
 */
export function replayRecorded(state: EngineState, call: EngineCall): EngineReply {
  const id = call.args.id ?? '';
  const [first] = state.ledger.stream(id);
  if (first === undefined) {
    return problem(unknownDecision(state.former, id));
  }
  const entry = decodeEntry(first.bytes);
  const { policy } = entry.data as unknown as FirstData;
  let pinned: CompiledBundle | null;
  try {
    pinned = policy === null ? null : state.policies.load(policy.digest).compiled;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return problem(
      refuse('policy.defective', `${error.message} The decision cannot be replayed without it.`),
    );
  }
  const { recorded, replayed, withheld } = replayDecision(entry, pinned);
  return reply(200, {
    decision_id: id,
    record_id: first.index,
    policy_version: policy?.version ?? null,
    policy_digest: policy?.digest ?? null,
    recorded,
    replayed,
    withheld,
    envelope: envelopeOf(state, id),
    differences: [...differences(recorded, replayed), ...shadowDifferences(state, entry)],
  });
}

/** Which sensitive inputs are not there any more, or not to be shown. They were judged when they came in. */
function envelopeOf(
  state: EngineState,
  id: string,
): { shredded: string[]; withheld: string[]; missing: string[] } {
  const record = loadDecision(state, id);
  const states = record === null ? [] : [...fieldStates(state, record.decision)];
  const those = (wanted: FieldState) => states.flatMap(([field, stands]) => (stands === wanted ? field : []));
  return { shredded: those('shredded'), withheld: those('withheld'), missing: those('missing') };
}

/** What was in shadow then is judged again too, while its bundle is here: it decided nothing, so nothing hangs on it. */
function shadowDifferences({ policies }: EngineState, entry: Entry): string[] {
  const { shadow } = entry.data as unknown as FirstData;
  if (shadow?.candidate === undefined) return [];
  try {
    return candidateDifferences(entry, policies.load(shadow.candidate.policy.digest).compiled);
  } catch (error) {
    if (error instanceof BoundaryError) return [];
    throw error;
  }
}
