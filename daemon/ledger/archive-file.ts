import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { BoundaryError } from '../formats/boundary-error.ts';
import { assertCanonical, canonicalText } from '../formats/canonical-json.ts';
import type { JsonObject } from '../formats/json.ts';
import { decodeEntryBundle, encodeEntryBundle, TILE_WIDTH } from '../formats/tile.ts';

/*
 * An archive file holds one closed segment of the log: for every 256 entries one zstd frame with their C2SP entry
 * bundle, then a skippable frame (RFC 8878 §3.1.2) with the table of contents. So `zstd -dc FILE` prints the entry
 * bundles and nothing else, and one entry can be read without the rest.
 */

/** One entry as the ledger's table has it. */
export interface ArchivedEntry {
  bytes: Uint8Array;
  /** Log index of the entry before it in its stream; null for the first of one. */
  previous: number | null;
}

/** Table of contents, as canonical JSON. */
interface Contents {
  v: 1;
  origin: string;
  first: number;
  /** Bytes of each bundle's frame, in order. */
  frames: number[];
  /** `ArchivedEntry.previous` of every entry, -1 for none. */
  previous: number[];
}

const SKIPPABLE = 0x184d2a50;
/** Ends the file, behind the length of the table of contents: where to look for it. */
const MAGIC = 'HFA1';
const FOOTER_BYTES = 8;
/** Segments are at most this many entries: the policy's bound. */
export const SEGMENT_MAX = 65_536;
/** Unpacked at a time: entries of one decision are seldom far apart. */
const OPEN_BUNDLES = 8;
const BUNDLE_MAX_BYTES = TILE_WIDTH * (2 + 65_535);
const CONTENTS_MAX_BYTES = SEGMENT_MAX * 24;
/** Twelve digits, so that names sort: the segment's bounds `[first, until)`. */
const NAME = /^[0-9]{12}-[0-9]{12}\.entries\.zst$/;

export function archiveName(first: number, until: number): string {
  return `${String(first).padStart(12, '0')}-${String(until).padStart(12, '0')}.entries.zst`;
}

/** Names come from entries, and become paths: no other form is taken for one. */
export function isArchiveName(name: string): boolean {
  return NAME.test(name);
}

/** The archive file of a segment. `entries` is a whole multiple of 256, at most 65,536. */
export function encodeArchive(origin: string, first: number, entries: readonly ArchivedEntry[]): Uint8Array {
  if (entries.length === 0 || entries.length % TILE_WIDTH !== 0 || entries.length > SEGMENT_MAX)
    throw new RangeError(`${entries.length} entries are no segment`);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < entries.length; at += TILE_WIDTH) {
    const bundle = encodeEntryBundle(entries.slice(at, at + TILE_WIDTH).map(({ bytes }) => bytes));
    frames.push(zstdCompressSync(bundle, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }));
  }
  const contents: Contents = {
    v: 1,
    origin,
    first,
    frames: frames.map(({ length }) => length),
    previous: entries.map(({ previous }) => previous ?? -1),
  };
  const table = zstdCompressSync(Buffer.from(canonicalText(contents as unknown as JsonObject)));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(SKIPPABLE, 0);
  head.writeUInt32LE(table.length + FOOTER_BYTES, 4);
  const foot = Buffer.alloc(FOOTER_BYTES);
  foot.writeUInt32LE(table.length, 0);
  foot.write(MAGIC, 4, 'latin1');
  return Buffer.concat([...frames, head, table, foot]);
}

/**
 * One opened archive file. Strict about its form; that its bytes are the right ones is for the caller to know, by their
 * digest. Throws `BoundaryError` `archive.malformed`.
 */
export class ArchiveFile {
  readonly origin: string;
  readonly first: number;
  readonly until: number;
  readonly #bytes: Uint8Array;
  readonly #starts: number[];
  readonly #previous: readonly number[];
  readonly #bundles = new Map<number, Uint8Array[]>();

  constructor(bytes: Uint8Array) {
    const { contents, end } = readContents(bytes);
    this.origin = contents.origin;
    this.first = contents.first;
    this.until = contents.first + contents.previous.length;
    this.#bytes = bytes;
    this.#previous = contents.previous;
    this.#starts = [0];
    for (const length of contents.frames) this.#starts.push((this.#starts.at(-1) ?? 0) + length);
    if (this.#starts.at(-1) !== end) throw malformed('its frames do not fill it');
  }

  /** An entry by its log index, which must be inside. */
  entry(index: number): ArchivedEntry {
    const at = index - this.first;
    const previous = this.#previous[at];
    const bytes = this.#entriesOf(Math.floor(at / TILE_WIDTH))[at % TILE_WIDTH];
    if (previous === undefined || bytes === undefined) throw malformed(`it does not hold entry ${index}`);
    return { bytes, previous: previous === -1 ? null : previous };
  }

  #entriesOf(n: number): Uint8Array[] {
    const known = this.#bundles.get(n);
    if (known !== undefined) return known;
    const frame = this.#bytes.subarray(this.#starts[n], this.#starts[n + 1]);
    const entries = decodeEntryBundle(decompress(frame, BUNDLE_MAX_BYTES));
    if (entries.length !== TILE_WIDTH) throw malformed(`its bundle ${n} holds ${entries.length} entries`);
    this.#bundles.set(n, entries);
    const oldest = this.#bundles.size > OPEN_BUNDLES ? this.#bundles.keys().next() : undefined;
    if (oldest?.done === false) this.#bundles.delete(oldest.value);
    return entries;
  }
}

function readContents(bytes: Uint8Array): { contents: Contents; end: number } {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const foot = view.length - FOOTER_BYTES;
  if (foot < 8 || view.toString('latin1', foot + 4) !== MAGIC) throw malformed('it has no table of contents');
  const length = view.readUInt32LE(foot);
  const end = foot - length - 8;
  if (end < 0 || view.readUInt32LE(end) !== SKIPPABLE || view.readUInt32LE(end + 4) !== length + FOOTER_BYTES)
    throw malformed('its table of contents has no place');
  const text = decompress(view.subarray(end + 8, foot), CONTENTS_MAX_BYTES);
  return { contents: checked(parsed(text)), end };
}

function parsed(text: Uint8Array): Partial<Record<keyof Contents, unknown>> {
  try {
    return assertCanonical(text) as JsonObject;
  } catch (cause) {
    throw malformed('its table of contents is not canonical JSON', cause);
  }
}

function checked({ v, origin, first, frames, previous }: Partial<Record<keyof Contents, unknown>>): Contents {
  const counts = (values: unknown, min: number): values is number[] =>
    Array.isArray(values) && values.every((value) => Number.isSafeInteger(value) && value >= min);
  if (v !== 1 || typeof origin !== 'string' || !counts([first], 0)) throw malformed('it is of another kind');
  if (!counts(frames, 1) || !counts(previous, -1)) throw malformed('its table of contents is damaged');
  const entries = previous.length;
  if (entries === 0 || entries > SEGMENT_MAX || entries !== frames.length * TILE_WIDTH)
    throw malformed('its table of contents does not fit its entries');
  return { v, origin, first: first as number, frames, previous };
}

function decompress(bytes: Uint8Array, maxOutputLength: number): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength });
  } catch (cause) {
    throw malformed('it cannot be unpacked', cause);
  }
}

function malformed(words: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'archive.malformed',
    `This is no archive file of a ledger: ${words}. Nothing was read from it. Bring another copy of it.`,
    cause === undefined ? {} : { cause },
  );
}
