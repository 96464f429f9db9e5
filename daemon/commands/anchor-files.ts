import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SignedAnchor } from '../core/anchor-pile.ts';
import { ANCHOR_MAX_BYTES, type Anchor, anchorHead, parseAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseEnvelope } from '../formats/dsse.ts';
import { isFrame } from '../formats/qr-frames.ts';
import { RECEIPT_MAX_BYTES, RECEIPT_TYPE } from '../formats/receipt.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { parseProof } from '../formats/tlog-proof.ts';
import { errorCode, readBounded } from '../host/durable-file.ts';
import { isPng, PICTURE_MAX_BYTES } from '../host/picture.ts';

/*
 * Anchors in whatever form they were carried: files, whole directories of them, QR codes as pictures or as text; and permits
 * and receipts, which carry a signed tree head too, so that whoever kept one can tell.
 */

/** A file that holds no anchor, and why. */
export interface Unreadable {
  from: string;
  code: string;
  message: string;
}

export interface AnchorPile {
  anchors: SignedAnchor[];
  unreadable: Unreadable[];
}

/** Years of anchors by the hour. */
const MOST_FILES = 100_000;
const MAX_DEPTH = 6;
/** First line of a permit file (C2SP tlog-proof). */
const PROOF_HEADER = 'c2sp.org/tlog-proof@v1\n';
const RECEIPT_MAX_DEPTH = 32;
/** In a directory: anchors, and receipts as a site calls them, or sync with the digest before. */
const CALLED_SO = /\.anchor$|^(?:[0-9a-f]{64}\.)?receipt-[^/]*\.json$/;

/**
 * Reads anchors from files and directories. A file that is named must hold one; in a directory only files called like
 * anchors are looked at. What cannot be read is told for each. Throws BoundaryError `file.missing`, `anchor.too_many`.
 */
export async function readAnchors(paths: readonly string[]): Promise<AnchorPile> {
  const pile: AnchorPile = { anchors: [], unreadable: [] };
  const frames: { from: string; frame: string }[] = [];
  for (const path of paths.flatMap(expand)) {
    await tolerant(pile, path, async () => {
      const bytes = readBounded(path, PICTURE_MAX_BYTES);
      const found = await framesIn(bytes);
      if (found === null) pile.anchors.push({ from: path, anchor: anchorIn(bytes) });
      else frames.push(...found.map((frame) => ({ from: path, frame })));
    });
  }
  await joinFrames(frames, pile);
  return pile;
}

function expand(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new BoundaryError('file.missing', `${path} does not exist; nothing was verified.`, { at: path });
  if (!stat.isDirectory()) return [path];
  const found: string[] = [];
  collect(path, 1, found);
  return found.sort();
}

/** Links are not followed: a stick must not lead into the rest of the machine. */
function collect(directory: string, depth: number, found: string[]): void {
  for (const entry of listed(directory)) {
    const path = join(directory, entry.name);
    if (entry.isFile() && CALLED_SO.test(entry.name)) found.push(path);
    else if (entry.isDirectory() && depth < MAX_DEPTH) collect(path, depth + 1, found);
    if (found.length > MOST_FILES) throw tooMany(directory);
  }
}

function listed(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throw new BoundaryError(
      'file.unreadable',
      `${directory} cannot be read (${errorCode(error) ?? 'unknown error'}); nothing was verified.`,
      { at: directory, cause: error },
    );
  }
}

/** QR frames in a picture or in text; null when it is neither. */
async function framesIn(bytes: Uint8Array): Promise<string[] | null> {
  if (isPng(bytes)) return (await import('../host/qr-code.ts')).framesInPng(bytes);
  const text = Buffer.from(bytes.subarray(0, ANCHOR_MAX_BYTES)).toString('latin1');
  if (!isFrame(text.trimStart())) return null;
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** An anchor; a signed checkpoint alone will do for one that proves nothing. */
function anchorIn(bytes: Uint8Array): Anchor {
  const checkpoint = checkpointIn(Buffer.from(bytes).toString('utf8'));
  if (checkpoint === null || checkpoint.length > ANCHOR_MAX_BYTES) return parseAnchor(bytes);
  const { size } = anchorHead({ checkpoint });
  return { old: size, proof: [], checkpoint };
}

/** The signed checkpoint that a text is or carries; null for an anchor, and for what is nothing of this. */
function checkpointIn(text: string): string | null {
  if (text.startsWith('old ')) return null;
  if (text.startsWith(PROOF_HEADER)) return parseProof(text).checkpoint;
  if (text.startsWith('{')) return checkpointInReceipt(text);
  return /^[^\n]+\n(?:0|[1-9]\d*)\n/.test(text) ? text : null;
}

function checkpointInReceipt(text: string): string | null {
  const { payloadType, payload } = parseEnvelope(text);
  if (payloadType !== RECEIPT_TYPE) return null;
  const receipt = parseStrict(Buffer.from(payload).toString('utf8'), {
    maxBytes: RECEIPT_MAX_BYTES,
    maxDepth: RECEIPT_MAX_DEPTH,
  }) as { checkpoint?: unknown } | null;
  return typeof receipt?.checkpoint === 'string' ? receipt.checkpoint : null;
}

async function joinFrames(
  frames: readonly { from: string; frame: string }[],
  pile: AnchorPile,
): Promise<void> {
  const things = Map.groupBy(frames, ({ frame }) => frame.split('.', 3).join('.'));
  for (const pieces of things.values()) {
    const from = [...new Set(pieces.map((piece) => piece.from))].join(', ');
    await tolerant(pile, from, async () => {
      const { contentOf } = await import('../host/qr-code.ts');
      const { kind, content } = contentOf(pieces.map(({ frame }) => frame));
      // A cosigned checkpoint is a signed tree head, if no proof.
      if (kind !== 'A' && kind !== 'C')
        throw new BoundaryError('anchor.other_kind', 'The QR codes hold something else than an anchor.');
      pile.anchors.push({ from, anchor: anchorIn(content) });
    });
  }
}

async function tolerant(pile: AnchorPile, from: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    pile.unreadable.push({ from, code: error.code, message: error.message });
  }
}

function tooMany(directory: string): BoundaryError {
  return new BoundaryError(
    'anchor.too_many',
    `There are more than ${MOST_FILES} anchors in ${directory}; nothing was verified. Name fewer.`,
    { at: directory },
  );
}
