import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import {
  isUnknownSigner,
  type OpenedCheckpoint,
  openCheckpoint,
  parseCheckpoint,
} from '../formats/checkpoint.ts';
import { parseNote } from '../formats/signed-note.ts';
import { decodeEntryBundle, entriesPath, TILE_WIDTH, tilePath } from '../formats/tile.ts';
import { namesIn } from '../host/directory.ts';
import { readBounded } from '../host/durable-file.ts';
import { HASH_BYTES } from './tile-nodes.ts';
import { MerkleTree } from './tree.ts';
import type { LedgerTrust } from './verify-range.ts';

/*
 * A C2SP tlog-tiles directory: `checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`. The checkpoint is what
 * says how far it goes; what lies beyond it is nothing yet.
 */

/** Name of the checkpoint in the directory. */
export const CHECKPOINT_FILE = 'checkpoint';
const CHECKPOINT_MAX_BYTES = 64 * 1024;
/** A bundle of 256 entries, each as large as they come. */
const BUNDLE_MAX_BYTES = TILE_WIDTH * (2 + 65_535);

/** How far a directory goes. */
export interface TileHead {
  origin: string;
  size: number;
  root: Uint8Array;
  /** The signed note. */
  note: string;
}

/**
 * The checkpoint of a tile directory; null when there is none. Throws `BoundaryError` `tiles.other_log` (of another log
 * than `trust` names), `tiles.key` (signed by nobody that is trusted), `tiles.damaged` or `tiles.unreadable`.
 */
export function readTileHead(directory: string, trust: LedgerTrust): TileHead | null {
  const note = checkpointText(directory);
  if (note === null) return null;
  const named = originIn(note);
  if (named !== trust.origin) {
    throw tileError(
      'other_log',
      directory,
      `it holds the log ${JSON.stringify(named.slice(0, 200))}, not ${trust.origin}`,
    );
  }
  const { origin, size, root } = openedBy(note, trust, directory);
  return { origin, size, root, note };
}

/** How far a directory claims to go, unverified; null without a checkpoint that can be read. */
export function claimedHead(directory: string): TileHead | null {
  const note = checkpointText(directory);
  try {
    return note === null ? null : { ...parseCheckpoint(parseNote(note).text), note };
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

/** The log that a directory claims to be of, unverified; null without a checkpoint. */
export function claimedOrigin(directory: string): string | null {
  const note = checkpointText(directory);
  return note === null ? null : originIn(note);
}

function checkpointText(directory: string): string | null {
  const bytes = readFileIfThere(join(directory, CHECKPOINT_FILE), CHECKPOINT_MAX_BYTES);
  return bytes === null ? null : Buffer.from(bytes).toString('utf8');
}

function originIn(note: string): string {
  return note.slice(0, note.indexOf('\n'));
}

function openedBy(note: string, trust: LedgerTrust, directory: string): OpenedCheckpoint {
  try {
    return openCheckpoint(note, trust);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw tileError(isUnknownSigner(cause) ? 'key' : 'damaged', directory, cause.message, cause);
  }
}

/** Reads a tile directory's files as far as its checkpoint goes. Nothing of them is verified here but the checkpoint. */
export class TileReader {
  readonly directory: string;
  readonly head: TileHead;
  #tree: MerkleTree | null = null;

  constructor(directory: string, head: TileHead) {
    this.directory = directory;
    this.head = head;
  }

  /** Throws `BoundaryError` `tiles.none` where there is no checkpoint, and the errors of `readTileHead`. */
  static open(directory: string, trust: LedgerTrust): TileReader {
    const head = readTileHead(directory, trust);
    if (head !== null) return new TileReader(directory, head);
    throw tileError('none', directory, 'it has no checkpoint');
  }

  /** Hashes of a tile as the directory has them; null when the file is missing or too short. */
  tile(level: number, n: number, width: number): Uint8Array | null {
    const bytes = this.#read((w) => tilePath(level, n, w), width, TILE_WIDTH * HASH_BYTES);
    return bytes !== null && bytes.length >= width * HASH_BYTES
      ? bytes.subarray(0, width * HASH_BYTES)
      : null;
  }

  /** Entries of bundle `n`; null when the file is missing. Throws `BoundaryError` `tile.bundle` when it is malformed. */
  bundle(n: number): Uint8Array[] | null {
    const width = Math.min(TILE_WIDTH, this.head.size - n * TILE_WIDTH);
    const bytes = this.#read((w) => entriesPath(n, w), width, BUNDLE_MAX_BYTES);
    if (bytes === null) return null;
    const entries = decodeEntryBundle(bytes);
    if (entries.length >= width) return entries.slice(0, width);
    throw new BoundaryError('tile.bundle', `The bundle has ${entries.length} entries, not ${width}.`);
  }

  /**
   * A tile of that width, or a wider one that begins with it: a directory may grow while it is read, and what a wider tile
   * replaced goes away.
   */
  #read(pathOf: (width: number) => string, width: number, max: number): Uint8Array | null {
    for (let attempt = 0; attempt < 3; attempt++) {
      const exact = readFileIfThere(join(this.directory, pathOf(width)), max);
      if (exact !== null || width === TILE_WIDTH) return exact;
      const partials = namesIn(join(this.directory, dirname(pathOf(width)))).map(Number);
      const wider = partials.find((name) => name > width && name < TILE_WIDTH) ?? TILE_WIDTH;
      const found = readFileIfThere(join(this.directory, pathOf(wider)), max);
      if (found !== null) return found;
    }
    return null;
  }

  /** RFC 6962 root of the first `size` entries, by the tiles. Throws `BoundaryError` `tiles.damaged`. */
  root(size = this.head.size): Uint8Array {
    return this.#loaded().root(size);
  }

  /** RFC 6962 §2.1.2, by the tiles. */
  consistencyProof(from: number, to = this.head.size): Uint8Array[] {
    return this.#loaded().consistencyProof(from, to);
  }

  inclusionProof(index: number, size = this.head.size): Uint8Array[] {
    return this.#loaded().inclusionProof(index, size);
  }

  #loaded(): MerkleTree {
    if (this.#tree !== null) return this.#tree;
    const { size } = this.head;
    const width = size % TILE_WIDTH;
    const last = width === 0 ? new Uint8Array() : this.#needed(0, Math.floor(size / TILE_WIDTH), width);
    const leaves = Array.from({ length: width }, (_, at) =>
      last.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
    );
    const store = { read: (level: number, n: number) => this.#needed(level, n, TILE_WIDTH), write: refuse };
    this.#tree = MerkleTree.load(store, size, leaves);
    return this.#tree;
  }

  #needed(level: number, n: number, width: number): Uint8Array {
    const hashes = this.tile(level, n, width);
    if (hashes !== null) return hashes;
    throw tileError('damaged', this.directory, `${tilePath(level, n, width)} is missing or damaged`);
  }
}

function refuse(): never {
  throw new Error('tiles: a directory is read here, not written');
}

function readFileIfThere(path: string, max: number): Uint8Array | null {
  try {
    return readBounded(path, max);
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'file.missing') return null;
    throw error;
  }
}

/** Why a tile directory was not used. */
export function tileError(code: string, directory: string, words: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    `tiles.${code}`,
    `The tile directory ${directory} was not used or changed: ${words}. Run ledger verify --tiles, or name another directory.`,
    { at: directory, ...(cause === undefined ? {} : { cause }) },
  );
}
