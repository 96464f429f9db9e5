import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ANCHOR_MAX_BYTES, parseAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { openHeadStore } from '../ledger/head-store.ts';
import { TileReader } from '../ledger/tile-directory.ts';
import type { LedgerTrust } from '../ledger/verify-range.ts';

/** A signed head of the log that is known from somewhere else than the backup. */
export interface KnownHead {
  size: number;
  /** Hex. */
  root: string;
  /** The file or directory that says so. */
  where: string;
}

/** What was looked through for heads. */
export interface HeadSources {
  /** Anchor files, and directories with some in them. */
  anchors: readonly string[];
  /** A head store of the site. */
  head: string | null;
  /** The second copy. */
  copy: string | null;
}

/** Deeper than media and outboxes are. */
const DEPTH_MAX = 8;
const FILES_MAX = 100_000;

/**
 * Every signed head of the log in these places. Only signatures by its keys count; `others` counts the anchors of other logs
 * or by other keys. Throws `BoundaryError` `anchor.none` where there is not one anchor, `file.*`, `head.*`, `tiles.*`.
 */
export function knownHeads(sources: HeadSources, trust: LedgerTrust): { heads: KnownHead[]; others: number } {
  const heads: KnownHead[] = [];
  let others = 0;
  for (const place of sources.anchors) {
    const files = anchorFiles(place, 0);
    if (files.length === 0) {
      throw new BoundaryError(
        'anchor.none',
        `There are no anchors in ${place}; nothing was restored. Name the directory that holds the *.anchor files.`,
        { at: place },
      );
    }
    for (const file of files) {
      const head = anchorHeadOf(file, trust);
      if (head === null) others++;
      else heads.push(head);
    }
  }
  if (sources.head !== null) heads.push(...storedHead(sources.head, trust));
  if (sources.copy !== null) {
    const { size, root } = TileReader.open(sources.copy, trust).head;
    heads.push({ size, root: toHex(root), where: sources.copy });
  }
  return { heads, others };
}

/** A file that was named, whatever its name; in directories, those that are called anchors. */
function anchorFiles(path: string, depth: number): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new BoundaryError('file.missing', `${path} does not exist; nothing was restored.`, { at: path });
  if (stat.isFile()) return [path];
  if (!stat.isDirectory() || depth > DEPTH_MAX) return [];
  const found: string[] = [];
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) found.push(...anchorFiles(inside, depth + 1));
    else if (entry.isFile() && entry.name.endsWith('.anchor')) found.push(inside);
    if (found.length > FILES_MAX)
      throw new BoundaryError('file.too_many', `There are more than ${FILES_MAX} anchors in ${path}.`);
  }
  return found;
}

/** Null for an anchor that says nothing about this log: of another one, by another key, or damaged. */
function anchorHeadOf(file: string, trust: LedgerTrust): KnownHead | null {
  try {
    const { checkpoint } = parseAnchor(readBounded(file, ANCHOR_MAX_BYTES));
    const { size, root } = openCheckpoint(checkpoint, trust);
    return { size, root: toHex(root), where: file };
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function storedHead(path: string, trust: LedgerTrust): KnownHead[] {
  const store = openHeadStore(path, { readonly: true });
  try {
    const { note } = store.read(trust.origin) ?? { note: null };
    if (note === null) return [];
    const { size, root } = openCheckpoint(note, trust);
    return [{ size, root: toHex(root), where: path }];
  } finally {
    store.close();
  }
}
