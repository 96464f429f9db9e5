import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ANCHOR_MAX_BYTES, parseAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { toHex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { openHeadStore } from '../ledger/head-store.ts';
import { stageCopy } from '../ledger/staging.ts';
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
  /** Those of them that claim to be of this very log: by keys that are not known here, or forged. */
  unbelieved: number;
  /** Names of other logs that anchors claim to be of, unverified: a new log must not take one of them. */
  origins: ReadonlySet<string>;
}

/**
 * Every signed head of the log in these places. What was given and says nothing at all is a mistake: it would look as if it had
 * been compared. Throws `BoundaryError` `anchor.none` where there is not one anchor, `restore.no_head` for what is no head
 * store or one of another log, `file.*`, `tiles.*`.
 */
export function knownHeads(sources: HeadSources, trust: LedgerTrust): FoundHeads {
  const heads: KnownHead[] = [];
  const origins = new Set<string>();
  let others = 0;
  let unbelieved = 0;
  for (const place of sources.anchors) {
    let told = false;
    for (const file of someAnchors(place)) {
      const found = anchorHeadOf(file, trust);
      told ||= found !== '';
      if (typeof found !== 'string') heads.push(found);
      else {
        others++;
        if (found === trust.origin) unbelieved++;
        if (found !== '') origins.add(found);
      }
    }
    if (!told) throw noAnchors(place);
  }
  if (sources.head !== null) heads.push(storedHead(sources.head, trust));
  if (sources.copy !== null) {
    assertThere(sources.copy);
    const { size, root } = TileReader.open(sources.copy, trust).head;
    heads.push({ size, root: toHex(root), where: sources.copy });
  }
  return { heads, others, unbelieved, origins };
}

function someAnchors(place: string): string[] {
  const files = anchorFiles(place, 0);
  if (files.length > 0) return files;
  throw noAnchors(place);
}

function noAnchors(place: string): BoundaryError {
  return new BoundaryError(
    'anchor.none',
    `There are no anchors in ${place}; nothing was restored. Name the directory that holds the *.anchor files, or leave it out: then nobody can tell from them whether anything is missing.`,
    { at: place },
  );
}

/** Throws `BoundaryError` `file.missing`. */
export function assertThere(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  throw new BoundaryError(
    'file.missing',
    `${path} does not exist; nothing was restored. Is its disk mounted?`,
    { at: path },
  );
}

/** A file that was named, whatever its name; in directories, those that are called anchors. */
function anchorFiles(path: string, depth: number): string[] {
  assertThere(path);
  const stat = lstatSync(path);
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

function storedHead(path: string, trust: LedgerTrust): KnownHead {
  assertThere(path);
  if (!statSync(path).isFile()) throw noHead(path, 'it is not a regular file');
  // The old site's disk is evidence, and may be mounted read-only: SQLite would write beside what it reads.
  const copy = stageCopy(path);
  try {
    const store = openHeadStore(copy.path, { readonly: true });
    try {
      const { note } = store.read(trust.origin) ?? { note: null };
      if (note === null) throw noHead(path, `it knows nothing of ${trust.origin}`);
      const { size, root } = openCheckpoint(note, trust);
      return { size, root: toHex(root), where: path };
    } finally {
      store.close();
    }
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code === 'restore.no_head') throw error;
    throw noHead(path, error.message.replaceAll(copy.path, path), error);
  } finally {
    copy.remove();
  }
}

function noHead(path: string, why: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'restore.no_head',
    `${path} tells no head of this log: ${why.replace(/\.$/, '')}. Nothing was restored. Give the old site's state/head.sqlite, with head.sqlite-wal beside it if there is one. Without --head nobody can tell from it whether entries are missing.`,
    { at: path, cause },
  );
}
