import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { ENTRY_MAX_BYTES } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { CompiledBundle } from './compile.ts';
import type { Draft, FirstData } from './create.ts';
import { type DecisionEntry, type Ruling, replayDecision } from './replay.ts';
import type { CandidateRuling, PolicyName, ShadowCandidate } from './shadow.ts';

/** Most bytes that a candidate's ruling may take of an entry; a longer one is told in numbers. */
const SHADOW_MAX_BYTES = 4_096;
/** What an entry holds beside its data: site, stream, actor and the like. */
const ENVELOPE_BYTES = 4_096;

/**
 * What a candidate would have said about a decision, judged from what its entry records: sensitive values are commitments
 * to it, and what was withheld stays denied. Only what differs from the decision itself is told in full. Never throws: a
 * candidate that cannot judge says so, and nothing else changes.
 */
export function judgeCandidate(entry: DecisionEntry, candidate: CompiledBundle): ShadowCandidate {
  const policy = { digest: candidate.digest, version: candidate.version };
  try {
    const { recorded, replayed } = replayDecision(entry, candidate);
    return { policy, ...rulingBeside(recorded, replayed) };
  } catch (error) {
    return failedCandidate(policy, error);
  }
}

/** The record of a candidate that could not be loaded, or could not judge. */
export function failedCandidate(policy: PolicyName, error: unknown): ShadowCandidate {
  // Messages of anything else may quote what was judged.
  const why = error instanceof BoundaryError ? error.message : 'The candidate could not judge this.';
  return { policy, failed: why.slice(0, 500) };
}

function rulingBeside(recorded: Ruling, replayed: Ruling): CandidateRuling {
  const { result, band, score, authority } = replayed;
  const added = replayed.gates.filter((gate) => !recorded.gates.includes(gate));
  const gone = recorded.gates.filter((gate) => !replayed.gates.includes(gate));
  const same = canonicalText(wire(recorded.authority)) === canonicalText(wire(authority));
  return {
    result,
    band,
    score,
    ...(added.length + gone.length === 0 ? {} : { gates: { added, gone } }),
    ...(same ? {} : { authority }),
  };
}

/** The draft of a decision's first entry with what a candidate said beside it; shorter, or left out, where it would not fit. */
export function withCandidate(draft: Draft, candidate: ShadowCandidate): Draft {
  const room = ENTRY_MAX_BYTES - ENVELOPE_BYTES - Buffer.byteLength(draft.printed.text);
  const fitting = [candidate, inNumbers(candidate)].find(
    (form) => Buffer.byteLength(canonicalText(wire(form))) <= Math.min(SHADOW_MAX_BYTES, room),
  );
  if (fitting === undefined) return draft;
  const { shadow } = draft.data as unknown as FirstData;
  return withMember(draft, wire({ ...shadow, candidate: fitting }));
}

function withMember(draft: Draft, shadow: JsonObject): Draft {
  const members: Record<string, string> = { ...draft.printed.members, shadow: canonicalText(shadow) };
  const text = Object.keys(members)
    .sort()
    .map((name) => `"${name}":${members[name]}`)
    .join(',');
  return { ...draft, data: { ...draft.data, shadow }, printed: { text: `{${text}}`, members } };
}

/** The ruling without what makes it long. */
function inNumbers(candidate: ShadowCandidate): ShadowCandidate {
  if (!('result' in candidate)) return candidate;
  const { gates, authority, ...rest } = candidate;
  const dropped = {
    gates: (gates?.added.length ?? 0) + (gates?.gone.length ?? 0),
    groups: authority?.required.length ?? 0,
  };
  return { ...rest, dropped };
}

/** How a candidate, judged again, differs from what the entry records of it, in sentences; empty when it does not. */
export function candidateDifferences(entry: DecisionEntry, candidate: CompiledBundle): string[] {
  const recorded = (entry.data as unknown as FirstData).shadow?.candidate;
  if (recorded === undefined || 'failed' in recorded) return [];
  const again = judgeCandidate(entry, candidate);
  const [was, is] = [recorded, 'dropped' in recorded ? inNumbers(again) : again].map((form) =>
    canonicalText(wire(form)),
  );
  return was === is ? [] : [`shadow: recorded ${was}, replayed ${is}`];
}

function wire(value: object): JsonObject {
  return value as JsonObject;
}
