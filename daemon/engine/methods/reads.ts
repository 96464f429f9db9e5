import type { DecisionRecord } from '../../core/fold.ts';
import { maskDecision, maskEntry } from '../../core/masked.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { toBase64 } from '../../formats/digest.ts';
import { decodeEntry, type Entry } from '../../formats/entry.ts';
import { encodeEntryBundle, TILE_WIDTH } from '../../formats/tile.ts';
import { type EngineState, loadDecision, proofOf } from '../context.ts';
import { unknownDecision } from '../former-logs.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { notOpened, type View, viewOf, viewOfDecision } from '../reading-view.ts';
import { decisionReply, problem, reply, statusOf } from '../reply.ts';
import type { Reading } from '../time.ts';
import { getCosignedCheckpoint, getCosignedProof } from './cosign.ts';

const LIST_LIMIT = 200;
const ENTRIES_LIMIT = 256;

/** `decisions.get`: one decision with its proofs, as it stands. */
export function getDecision(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const id = call.args.id ?? '';
  const record = loadDecision(state, id);
  if (record === null) return problem(unknownDecision(state.former, id));
  const view = viewOfDecision(state, call, time, record);
  if (isRefusal(view)) return problem(view);
  if (view.opens(record.first_index, id)) return decisionReply(state, record);
  return reply(statusOf(record.decision), maskDecision(record.decision));
}

/**
 * `decisions.entries`: every entry about one decision, oldest first, each with its exact bytes as text and its inclusion
 * proof, all under one checkpoint.
 */
export function getDecisionEntries(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const id = call.args.id ?? '';
  const closed = closedDecision(state, call, time, id);
  if (closed !== null) return problem(closed);
  const { ledger } = state;
  const stream = ledger.stream(id);
  const checkpoint = ledger.checkpoint();
  if (stream.length === 0 || checkpoint === null) return problem(unknownDecision(state.former, id));
  const decoder = new TextDecoder();
  const entries = stream.map(({ index, bytes }) => {
    const proof = JSON.stringify(ledger.inclusionProof(index).map(toBase64));
    return `{"index":${index},"entry":${decoder.decode(bytes)},"proof":${proof}}`;
  });
  return {
    status: 200,
    body: `{"checkpoint":${JSON.stringify(checkpoint)},"entries":[${entries.join(',')}]}`,
  };
}

/** Why the bytes of a decision's entries are not given out to this caller; null when they are. */
function closedDecision(state: EngineState, call: EngineCall, time: Reading, id: string): Refusal | null {
  const record = loadDecision(state, id);
  if (record === null) return null;
  const view = viewOfDecision(state, call, time, record);
  if (isRefusal(view)) return view;
  return view.opens(record.first_index, id) ? null : notOpened(`Decision ${id}`);
}

/** `decisions.list`: newest first, `after` is the last id of the page before. */
export function listDecisions(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const view = viewOf(state, call, time);
  if (isRefusal(view)) return problem(view);
  const limit = bounded(call.args.limit, LIST_LIMIT, 50);
  const rows = state.projections.list({
    status: call.args.status ?? null,
    after: call.args.after ?? null,
    limit,
  });
  const elsewhere: string[] = [];
  const decisions = rows.flatMap(({ id }) => {
    const record = loadHere(state, id, elsewhere);
    if (record === null) return [];
    return [view.opens(record.first_index, id) ? summary(record) : maskDecision(record.decision)];
  });
  const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
  return reply(200, { decisions, next, ...(elsewhere.length === 0 ? {} : { elsewhere }) });
}

/** A decision; one whose entries lie in an archive file that was carried off is named in `elsewhere` instead. */
function loadHere(state: EngineState, id: string, elsewhere: string[]): DecisionRecord | null {
  try {
    return loadDecision(state, id);
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code !== 'archive.elsewhere') throw error;
    elsewhere.push(id);
    return null;
  }
}

/** The decision without its call and proofs: what a list shows. */
function summary({ decision }: DecisionRecord): object {
  const { permit, ...rest } = decision;
  return permit === undefined ? rest : { ...rest, permit: { id: permit.id, expires_at: permit.expires_at } };
}

/** `ledger.checkpoint`: the newest signed checkpoint, as C2SP bytes; with `cosigned`, the newest that enough witnesses cosigned. */
export function getCheckpoint(state: EngineState, call: EngineCall): EngineReply {
  if (call.args.cosigned === 'true') return getCosignedCheckpoint(state);
  const note = state.ledger.checkpoint();
  if (note === null) return problem(refuse('ledger.unavailable', 'The ledger holds no checkpoint yet.'));
  return { status: 200, body: note };
}

/** `ledger.entries`: entries from an index on, each with its exact bytes as text (they are canonical JSON). */
export function getEntries(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const view = viewOf(state, call, time);
  if (isRefusal(view)) return problem(view);
  const limit = bounded(call.args.limit, ENTRIES_LIMIT, ENTRIES_LIMIT);
  const from = bounded(call.args.from, Number.MAX_SAFE_INTEGER, 0);
  const decoder = new TextDecoder();
  // The bytes are JSON already: embedding them keeps them exact and saves a round trip through objects.
  const entries = state.ledger
    .entries(from, limit)
    .map(({ index, bytes }) => `{"index":${index},"entry":${shownText(view, index, decoder.decode(bytes))}}`);
  return { status: 200, body: `{"size":${state.ledger.size},"entries":[${entries.join(',')}]}` };
}

/** The text of an entry in a list: its own, or a masked one that hashes to nothing. */
function shownText(view: View, index: number, text: string): string {
  // Only decisions hold payloads, and no other stream begins like theirs.
  if (view.whole || !text.includes('"stream":"dec_')) return text;
  const entry = JSON.parse(text) as Entry;
  return view.opens(index, entry.stream) ? text : JSON.stringify(maskEntry(entry));
}

/** `ledger.proof`: the tlog-proof file of one entry under the newest checkpoint. */
export function getProof(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const index = bounded(call.args.index, Number.MAX_SAFE_INTEGER, -1);
  if (index < 0 || index >= state.ledger.size) {
    return problem(
      refuse(
        'ledger.entry_not_found',
        `The ledger has ${state.ledger.size} entries; there is no index ${call.args.index}.`,
      ),
    );
  }
  const bytes = state.ledger.entry(index);
  const { stream } = bytes === null ? { stream: '' } : decodeEntry(bytes);
  const closed = stream.startsWith('dec_') ? closedDecision(state, call, time, stream) : null;
  if (closed !== null) return problem(closed);
  if (call.args.cosigned === 'true') return getCosignedProof(state, index);
  return { status: 200, body: proofOf(state, index) };
}

/** `ledger.tile`: hashes of a tile, or (level `entries`) an entry bundle, as C2SP tlog-tiles bytes. */
export function getTile(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const { level = '', n = '', width = '256' } = call.args;
  const view = level === 'entries' ? viewOf(state, call, time) : null;
  if (isRefusal(view)) return problem(view);
  if (view?.exports === false) return problem(notOpened('An entry bundle'));
  const bytes =
    level === 'entries'
      ? entryBundle(state, Number(n), Number(width))
      : state.ledger.tile(Number(level), Number(n), Number(width));
  if (bytes === null)
    return problem(refuse('ledger.entry_not_found', 'The tree does not hold that tile yet.'));
  return { status: 200, body: Buffer.from(bytes) };
}

function entryBundle(state: EngineState, n: number, width: number): Uint8Array | null {
  const entries = state.ledger.entries(n * TILE_WIDTH, width);
  return entries.length < width ? null : encodeEntryBundle(entries.map(({ bytes }) => bytes));
}

function bounded(text: string | undefined, max: number, fallback: number): number {
  if (text === undefined || !/^[0-9]{1,16}$/.test(text)) return fallback;
  return Math.min(Number(text), max);
}
