import type { AnchorLink } from '../core/anchor-report.ts';
import { isoTime } from '../core/create.ts';
import { anchorName, formatAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseCheckpoint } from '../formats/checkpoint.ts';
import { sha256Hex, toHex } from '../formats/digest.ts';
import { decodeEntry, type EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { parseNote } from '../formats/signed-note.ts';
import type { StoredEntry } from '../ledger/ledger.ts';
import type { AnchorData, AnchorReason, AnchorRow } from './anchor-rows.ts';
import type { Batch, EngineState } from './context.ts';

/*
 * Anchors: tree heads that leave the site, each proven to continue the one before (docs/decisions/0029). The entry that
 * says so is above the tree head that left: a tree cannot hold what is said about it.
 */

const STREAM = 'anchor';

/** Entries that only keep books about what left: by themselves they are no news that an anchor would be made for. */
const BOOKKEEPING: ReadonlySet<EntryType> = new Set<EntryType>([
  'anchor.exported',
  'anchor.cosigned',
  'anchor.carried',
  'outbox.acknowledged',
]);
/** How far is looked for news; behind so much bookkeeping an anchor is due anyway. */
const LOOKED_AT = 64;

/** A link as it is told. */
export function viewOf({ old, size, idx, at, departed }: AnchorRow): AnchorLink {
  return {
    old,
    size,
    name: anchorName({ old, size }),
    record_id: idx,
    made_at: isoTime(at),
    departed: departed !== null,
  };
}

/**
 * The bytes that prove the tree of `size` entries to continue that of `old`: the same whenever they are asked for. Null
 * when nothing was signed for that size, or `old` is behind it.
 */
export function anchorText({ ledger }: EngineState, old: number, size: number): string | null {
  const checkpoint = size === ledger.size ? ledger.checkpoint() : ledger.checkpointAt(size);
  if (checkpoint === null || size > ledger.size || old > size) return null;
  return formatAnchor({ old, proof: ledger.consistencyProof(old, size), checkpoint });
}

/**
 * Exports the newest committed tree head as the next link: one entry. Without news since the last one (`always`: even
 * then) there is nothing to export, and the last link stands. Returns the newest link.
 */
export function exportAnchor(
  batch: Batch,
  reason: AnchorReason,
  always = false,
): { row: AnchorRow; unchanged: boolean } {
  const { ledger, projections } = batch.state;
  const last = projections.newestAnchor();
  const size = ledger.size;
  const isThere = last !== null && (last.size === size || (!always && !hasNews(batch.state, last.size)));
  if (isThere) return { row: last, unchanged: true };
  const checkpoint = ledger.checkpoint();
  if (checkpoint === null) throw new Error('anchors: a ledger without a checkpoint has nothing to export');
  const { root } = parseCheckpoint(parseNote(checkpoint).text);
  // A doubted clock may say anything; what it is at least is never too late.
  const made_at = isoTime(batch.trust === 'uncertain' ? batch.at_least : batch.now);
  const data: AnchorData = {
    old: last?.size ?? 0,
    size,
    root: toHex(root),
    checkpoint: sha256Hex(checkpoint),
    reason,
    made_at,
  };
  batch.record(STREAM, 'anchor.exported', { id: null, role: 'system' }, data as unknown as JsonObject);
  const row = projections.newestAnchor();
  if (row === null) throw new Error('anchors: the link that was just made is not there');
  return { row, unchanged: false };
}

/** Whether anything happened since a tree of that size that is worth an anchor. */
function hasNews({ ledger }: EngineState, since: number): boolean {
  const committed = ledger.size;
  try {
    const entries = ledger.entries(since, LOOKED_AT).filter(({ index }) => index < committed);
    const isNews = ({ bytes }: StoredEntry): boolean => !BOOKKEEPING.has(decodeEntry(bytes).type);
    return entries.length === LOOKED_AT || entries.some(isNews);
  } catch (error) {
    // Entries that were archived and carried off since: a good deal happened.
    if (error instanceof BoundaryError) return true;
    throw error;
  }
}

/** Records that the history up to `size` was taken to a medium; what is known outside already is not recorded again. */
export function recordCarried(batch: Batch, size: number, actor: string | null): AnchorRow | null {
  const { projections } = batch.state;
  const [row] = projections.anchors(size + 1, 1);
  const known = projections.newestAnchor('departed');
  if (row === undefined || (known !== null && known.size >= row.size)) return null;
  batch.record(STREAM, 'anchor.carried', { id: actor, role: 'operator' }, { size: row.size });
  return row;
}
