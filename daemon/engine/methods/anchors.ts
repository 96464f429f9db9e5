import { type Refusal, refuse } from '../../core/refusal.ts';
import { parseDecimal } from '../../formats/checkpoint.ts';
import type { AnchorReason } from '../anchor-rows.ts';
import { anchorText, exportAnchor, recordCarried, viewOf } from '../anchors.ts';
import type { Batch, EngineState } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';

const PAGE_MAX = 200;

/**
 * `anchors.export`: the newest tree head as the next link of the chain. Answers with the link and its bytes; `unchanged`
 * when nothing but bookkeeping happened since the last one, which is then the answer.
 */
export function exportNext(batch: Batch, call: EngineCall): AfterCommit {
  const { reason } = JSON.parse(call.body ?? '{}') as { reason?: AnchorReason };
  const { row, unchanged } = exportAnchor(batch, reason ?? 'demand');
  return (state) => reply(200, { unchanged, ...viewOf(row), anchor: anchorText(state, row.old, row.size) });
}

/** `anchors.carried`: somebody took anchors up to a size to a medium. It counts for the policy as having left the site. */
export function carriedAnchors(batch: Batch, call: EngineCall): AfterCommit {
  const { size, actor = null } = JSON.parse(call.body ?? '{}') as { size: number; actor?: string | null };
  const known = batch.state.projections.anchors(size + 1, 1)[0]?.size === size;
  if (!known) {
    const refusal = unknownSize(`No anchor of ${size} entries was ever made here. Nothing was recorded.`);
    return () => problem(refusal);
  }
  const row = recordCarried(batch, size, actor);
  return () => reply(200, { size, recorded: row !== null });
}

/** `anchors.list`: the chain, newest first; `before`: only links of a smaller size. */
export function listAnchors(state: EngineState, call: EngineCall): EngineReply {
  const limit = Math.min(parseDecimal(call.args.limit ?? '') ?? 50, PAGE_MAX);
  const before = parseDecimal(call.args.before ?? '') ?? Number.MAX_SAFE_INTEGER;
  const rows = state.projections.anchors(before, limit);
  const next = rows.length === limit ? (rows.at(-1)?.size ?? null) : null;
  const known = (of: 'departed' | 'acknowledged') => state.projections.newestAnchor(of)?.size ?? null;
  return reply(200, {
    origin: state.ledger.origin,
    size: state.ledger.size,
    departed: known('departed'),
    acknowledged: known('acknowledged'),
    anchors: rows.map(viewOf),
    next,
  });
}

/**
 * `anchors.from`: the bytes of an `add-checkpoint` request for whoever knows the tree of `old` entries; up to the tree of
 * `size`, the newest when absent. Records nothing: no tree head gets out by it that permits do not carry too.
 */
export function anchorFrom(state: EngineState, call: EngineCall): EngineReply {
  const old = parseDecimal(call.args.old ?? '');
  const size = call.args.size === undefined ? state.ledger.size : parseDecimal(call.args.size);
  const text = old === null || size === null ? null : anchorText(state, old, size);
  if (text !== null) return { status: 200, body: text };
  return problem(
    unknownSize(
      `There is no proof from ${call.args.old} to ${call.args.size ?? state.ledger.size} entries: the ledger has ${state.ledger.size}, and only sizes that were signed can be proven. Whoever knows more than that knows another history, or this ledger was set back: run holdfast anchor verify with what they hold.`,
    ),
  );
}

function unknownSize(message: string): Refusal {
  return refuse('anchor.unknown_size', message);
}
