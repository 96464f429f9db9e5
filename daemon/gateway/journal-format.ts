import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { isIdentifier } from '../formats/identifier.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import type { OutcomeDetail, RunResult } from './connectors/run.ts';

/** Newest checkpoint that this gateway has verified. A later redemption must come from a larger tree. */
export interface SeenTree {
  origin: string;
  size: number;
}

/** One line of the journal. */
export type JournalRecord =
  | { event: 'started'; permit: string; decision: string; at: string; tree: SeenTree }
  | { event: 'ended'; permit: string; decision: string; at: string; result: RunResult; detail: OutcomeDetail }
  | { event: 'reported'; permit: string; at: string }
  | { event: 'closed'; permit: string }
  | { event: 'floor'; permit: string; tree: SeenTree | null };

/** A permit that was taken up and whose outcome the engine has not acknowledged. `result` null: not known to have ended. */
export interface OpenRun {
  permit_id: string;
  decision_id: string;
  result: RunResult | null;
  detail: OutcomeDetail;
}

/** The fold of a journal. */
export interface JournalState {
  open: Map<string, OpenRun>;
  closed: Set<string>;
  /** Permit ids up to and including this one count as used. Empty: none. */
  floor: string;
  tree: SeenTree | null;
}

const LINE_LIMITS = { maxBytes: 16_384, maxDepth: 4 };

/** A record as its line, newline included. */
export function lineOf(record: JournalRecord): string {
  return `${canonicalText(record as unknown as JsonObject)}\n`;
}

/** The fold of an empty journal. */
function emptyState(): JournalState {
  return { open: new Map(), closed: new Set(), floor: '', tree: null };
}

/**
 * Folds the journal's bytes. What follows the last newline is a torn line and is dropped: its fsync never returned, so
 * nothing was started on its strength. Any other defect is `journal.damaged`, with the line's number.
 */
export function readJournal(bytes: Uint8Array): JournalState {
  const state = emptyState();
  const whole = bytes.subarray(0, bytes.lastIndexOf(10) + 1);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(whole);
  } catch (cause) {
    throw damaged(0, 'is not UTF-8', cause);
  }
  const lines = text.split('\n');
  lines.pop();
  for (const [index, line] of lines.entries()) apply(state, recordOf(line, index + 1), index + 1);
  return state;
}

/** The shortest journal with the same meaning, remembering at most `remembered` closed permits by id. */
export function compact(state: JournalState, remembered: number): { state: JournalState; text: string } {
  const closed = [...state.closed].sort();
  const dropped = closed.splice(0, Math.max(0, closed.length - remembered));
  // It never sinks: a permit below it may have been closed after all, when the engine still held it as redeemed.
  const floor = [state.floor, dropped.at(-1) ?? ''].sort().at(-1) ?? '';
  const lines: JournalRecord[] = [{ event: 'floor', permit: floor, tree: state.tree }];
  for (const permit of closed) lines.push({ event: 'closed', permit });
  for (const run of state.open.values()) lines.push(openRecord(run, state.tree));
  return { state: { ...state, floor, closed: new Set(closed) }, text: lines.map(lineOf).join('') };
}

function openRecord(run: OpenRun, tree: SeenTree | null): JournalRecord {
  const { permit_id: permit, decision_id: decision, result, detail } = run;
  if (result !== null) return { event: 'ended', permit, decision, at: '', result, detail };
  return { event: 'started', permit, decision, at: '', tree: tree ?? { origin: '', size: 0 } };
}

/** Takes one record into the fold. Throws `journal.damaged` for a record that cannot follow what came before. */
export function apply(state: JournalState, record: JournalRecord, line: number): void {
  switch (record.event) {
    case 'started':
      if (state.open.has(record.permit) || state.closed.has(record.permit))
        throw damaged(line, 'starts a permit twice');
      state.open.set(record.permit, {
        permit_id: record.permit,
        decision_id: record.decision,
        result: null,
        detail: {},
      });
      state.tree = newer(state.tree, record.tree);
      return;
    case 'ended':
      state.open.set(record.permit, {
        permit_id: record.permit,
        decision_id: record.decision,
        result: record.result,
        detail: record.detail,
      });
      return;
    case 'reported':
      if (!state.open.delete(record.permit)) throw damaged(line, 'reports a permit that is not open');
      state.closed.add(record.permit);
      return;
    case 'closed':
      state.closed.add(record.permit);
      return;
    case 'floor':
      state.floor = record.permit;
      state.tree = record.tree;
  }
}

/** Runs are recorded as they come, not as their trees grew. Another origin is a log that went on after a restore. */
function newer(known: SeenTree | null, tree: SeenTree): SeenTree {
  return known !== null && known.origin === tree.origin && known.size > tree.size ? known : tree;
}

const MEMBERS = {
  started: ['at', 'decision', 'event', 'permit', 'tree'],
  ended: ['at', 'decision', 'detail', 'event', 'permit', 'result'],
  reported: ['at', 'event', 'permit'],
  closed: ['event', 'permit'],
  floor: ['event', 'permit', 'tree'],
} as const;

function recordOf(line: string, number: number): JournalRecord {
  let value: Json;
  try {
    value = parseStrict(line, LINE_LIMITS);
  } catch (cause) {
    throw damaged(number, 'is not strict JSON', cause);
  }
  if (!isObject(value)) throw damaged(number, 'is not an object');
  const event = value.event;
  if (typeof event !== 'string' || !Object.hasOwn(MEMBERS, event))
    throw damaged(number, 'has no known event');
  const expected = MEMBERS[event as keyof typeof MEMBERS];
  if (Object.keys(value).sort().join() !== expected.join())
    throw damaged(number, 'has other members than its event');
  const sound = Object.entries(value).every(([member, content]) => isSound(member, content, event));
  if (!sound) throw damaged(number, 'has a member of the wrong type');
  return value as unknown as JournalRecord;
}

/** Every member means the same in every record; only the floor may name no permit. */
function isSound(member: string, value: Json, event: string): boolean {
  if (member === 'permit')
    return typeof value === 'string' && (isIdentifier(value, 'prm') || (event === 'floor' && value === ''));
  if (member === 'result') return value === 'succeeded' || value === 'failed' || value === 'unknown';
  if (member === 'detail') return isObject(value);
  if (member === 'tree') return isTree(value) || (event === 'floor' && value === null);
  return typeof value === 'string';
}

function isTree(value: Json): boolean {
  return isObject(value) && typeof value.origin === 'string' && Number.isSafeInteger(value.size);
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function damaged(line: number, what: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'journal.damaged',
    `The gateway journal cannot be trusted: line ${line} ${what}. No tool was started. Restore the file from a backup, or ` +
      'move it away and reconcile every permit that `decision list` shows as redeemed without an outcome.',
    { at: `line ${line}`, cause },
  );
}
