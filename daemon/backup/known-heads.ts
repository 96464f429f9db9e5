import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ANCHOR_MAX_BYTES, parseAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { openHeadStore } from '../ledger/head-store.ts';
import { TileReader } from '../ledger/tile-reader.ts';
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

/** What was found in those places. */
export interface FoundHeads {
  /** Heads of the log that are signed by its keys. */
  heads: KnownHead[];
  /** Anchors of other logs, by other keys, or damaged. */
  others: number;
  /** Names of other logs that anchors claim to be of, unverified: a new log must not take one of them. */
  origins: ReadonlySet<string>;
}

/**
 * Every signed head of the log in these places. Throws `BoundaryError` `anchor.none` where there is not one anchor,
 * `file.*`, `head.*`, `tiles.*`.
 */
export function knownHeads(sources: HeadSources, trust: LedgerTrust): FoundHeads {
  const heads: KnownHead[] = [];
  const origins = new Set<string>();
  let others = 0;
  for (const file of sources.anchors.flatMap(someAnchors)) {
    const found = anchorHeadOf(file, trust);
    if (typeof found !== 'string') heads.push(found);
    else {
      others++;
      origins.add(found);
    }
  }
  if (sources.head !== null) heads.push(...storedHead(sources.head, trust));
  if (sources.copy !== null) {
    const { size, root } = TileReader.open(sources.copy, trust).head;
    heads.push({ size, root: toHex(root), where: sources.copy });
  }
  return { heads, others, origins };
}

function someAnchors(place: string): string[] {
  const files = anchorFiles(place, 0);
  if (files.length > 0) return files;
  throw new BoundaryError(
    'anchor.none',
    `There are no anchors in ${place}; nothing was restored. Name the directory that holds the *.anchor files.`,
    { at: place },
  );
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

/** For an anchor that says nothing about this log (of another one, by another key, damaged): the origin that it claims. */
function anchorHeadOf(file: string, trust: LedgerTrust): KnownHead | string {
  let origin = '';
  try {
    const { checkpoint } = parseAnchor(readBounded(file, ANCHOR_MAX_BYTES));
    origin = checkpoint.slice(0, checkpoint.indexOf('\n'));
    const { size, root } = openCheckpoint(checkpoint, trust);
    return { size, root: toHex(root), where: file };
  } catch (error) {
    if (error instanceof BoundaryError) return origin;
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
