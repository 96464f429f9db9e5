import type { Bundle } from '../core/bundle.ts';
import type { Decision } from '../core/decision.ts';
import { type EvidenceRole, roleOf } from '../core/evidence-scope.ts';
import { foldDecision } from '../core/fold.ts';
import type { SealedValues } from '../core/sensitive.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Checkpoint } from '../formats/checkpoint.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import { type EvidenceIndex, entryMember } from '../formats/evidence.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { permitOf } from '../formats/permit.ts';
import type { Examination } from './examination.ts';

/** An entry of the evidence that could be read. */
export interface OpenedEntry {
  index: number;
  role: EvidenceRole;
  entry: Entry;
  bytes: Uint8Array;
}

/** What is in the evidence, as far as it can be read. The steps fill in what they establish. */
export interface OpenedEvidence {
  index: EvidenceIndex;
  /** By index. */
  entries: OpenedEntry[];
  /** Those of the decision itself. */
  own: OpenedEntry[];
  /** The decision as its entries tell it. */
  decision: Decision;
  /** The tree head, once its signature was found good. */
  head: Checkpoint | null;
  /** The policy, once its digest was found to be the decision's. */
  bundle: { bundle: Bundle; digest: string } | null;
  /** Values that open their commitments. */
  disclosed: SealedValues;
}

/** Reads the entries that the index names. Null, with findings, when the decision itself cannot be read. */
export function openEntries(ex: Examination, index: EvidenceIndex): OpenedEvidence | null {
  const entries = index.entries.flatMap((line): OpenedEntry[] => {
    const name = entryMember(line.index);
    const bytes = ex.need(name);
    const entry = bytes === null ? null : decoded(ex, name, bytes);
    return bytes === null || entry === null
      ? []
      : [{ index: line.index, role: roleOf(entry.stream, index.decision), entry, bytes }];
  });
  const own = entries.filter(({ entry }) => entry.stream === index.decision);
  const decision = folded(ex, index.decision, own);
  if (decision === null) return null;
  return { index, entries, own, decision, head: null, bundle: null, disclosed: {} };
}

function decoded(ex: Examination, name: string, bytes: Uint8Array): Entry | null {
  try {
    const entry = decodeEntry(bytes);
    // Its shape is checked here once, for everybody who looks into it later.
    permitOf(entry);
    return entry;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    ex.fail(name, error.message, { field: error.at ?? null });
    return null;
  }
}

/** Entries come from anywhere: whatever folding stumbles over is a finding, not a defect of ours. */
function folded(ex: Examination, id: string, own: readonly OpenedEntry[]): Decision | null {
  const [first] = own;
  if (first === undefined) {
    ex.fail('evidence.json', `It has no readable entry of ${id.slice(0, 80)}.`, { field: '/entries' });
    return null;
  }
  if (!isFirst(first.entry.data)) {
    ex.fail(entryMember(first.index), 'It is not the first entry of a decision.', { field: '/data' });
    return null;
  }
  try {
    return foldDecision(own).decision;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    ex.fail(entryMember(first.index), `The entries of the decision do not make one: ${why.slice(0, 200)}.`);
    return null;
  }
}

/** Whether `data` has the members of a decision's first entry, as far as everything here takes them for granted. */
function isFirst({
  action,
  context,
  authority,
  enforcement,
  risk,
  gates,
  gates_passed,
  transitions,
  policy,
}: JsonObject): boolean {
  return (
    isObject(action) &&
    isObject(action.payload) &&
    (action.target === null || isObject(action.target)) &&
    isObject(context) &&
    isObject(enforcement) &&
    isObject(risk) &&
    isObject(authority) &&
    (policy === null || isObject(policy)) &&
    isList(authority.required, isGroup) &&
    isList(enforcement.reasons, isText) &&
    isList(risk.reasons, isText) &&
    isList(gates, isObject) &&
    isList(gates_passed, isText) &&
    isList(transitions, isText)
  );
}

function isGroup(value: Json): boolean {
  return isObject(value) && isList(value.roles, isText);
}

function isList(value: Json | undefined, each: (one: Json) => boolean): boolean {
  return Array.isArray(value) && value.every(each);
}

function isText(value: Json): boolean {
  return typeof value === 'string';
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
