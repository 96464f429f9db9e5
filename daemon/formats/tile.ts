import { BoundaryError } from './boundary-error.ts';
import { ENTRY_MAX_BYTES } from './entry.ts';

/** Hashes per full tile, and entries per full bundle (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;

/** Tiles of level 6 and above would cover more than 2^53 entries. */
const MAX_LEVEL = 6;

/** `level` null names an entry bundle; `width` is 256 for a full tile. */
export interface TileAddress {
  level: number | null;
  n: number;
  width: number;
}

/** `tile/<L>/<N>[.p/<W>]`. */
export function tilePath(level: number, n: number, width: number = TILE_WIDTH): string {
  assertCount(level, 0, MAX_LEVEL);
  return `tile/${level}/${numberPath(n)}${suffix(width)}`;
}

/** `tile/entries/<N>[.p/<W>]`. */
export function entriesPath(n: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${numberPath(n)}${suffix(width)}`;
}

/** Reads either path; only the one way to write an address is accepted. Throws `BoundaryError` `tile.path`. */
export function parseTilePath(path: string): TileAddress {
  const match = /^tile\/(entries|[0-9])\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(
    path,
  );
  const [, kind, groups, partial] = match ?? [];
  if (kind !== undefined && groups !== undefined) {
    const n = Number(groups.replaceAll(/[x/]/g, ''));
    const width = partial === undefined ? TILE_WIDTH : Number(partial);
    const level = kind === 'entries' ? null : Number(kind);
    const proper =
      Number.isSafeInteger(n) && (partial === undefined || width < TILE_WIDTH) && (level ?? 0) <= MAX_LEVEL;
    // Writing it again refuses leading zero groups.
    if (proper && (level === null ? entriesPath(n, width) : tilePath(level, n, width)) === path) {
      return { level, n, width };
    }
  }
  throw new BoundaryError('tile.path', 'The path is not that of a tile or entry bundle (C2SP tlog-tiles).');
}

/** Entries of a bundle: `u16be length || entry`, concatenated. Throws `BoundaryError` `tile.bundle` for too many or large ones. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length > TILE_WIDTH || entries.some((entry) => entry.length > ENTRY_MAX_BYTES)) {
    throw new BoundaryError(
      'tile.bundle',
      `A bundle holds at most ${TILE_WIDTH} entries of ${ENTRY_MAX_BYTES} bytes.`,
    );
  }
  const bytes = new Uint8Array(entries.reduce((total, entry) => total + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    bytes[at] = entry.length >> 8;
    bytes[at + 1] = entry.length & 0xff;
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bytes;
}

/** Splits a bundle into views of its entries. Throws `BoundaryError` `tile.bundle`. */
export function decodeEntryBundle(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at + 2;
    const end = start <= bytes.length ? start + view.getUint16(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length || entries.length === TILE_WIDTH) {
      throw new BoundaryError(
        'tile.bundle',
        `The entry bundle is cut short or holds more than ${TILE_WIDTH} entries.`,
      );
    }
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  return entries;
}

/** Every hash tile, full and partial, that a log of `size` has; lowest level first. None is empty. */
export function tilesForSize(size: number): { level: number; n: number; width: number }[] {
  assertCount(size, 0, Number.MAX_SAFE_INTEGER);
  const tiles: { level: number; n: number; width: number }[] = [];
  let level = 0;
  for (let hashes = size; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH)) {
    const full = Math.floor(hashes / TILE_WIDTH);
    for (let n = 0; n < full; n += 1) {
      tiles.push({ level, n, width: TILE_WIDTH });
    }
    if (hashes % TILE_WIDTH !== 0) {
      tiles.push({ level, n: full, width: hashes % TILE_WIDTH });
    }
    level += 1;
  }
  return tiles;
}

/** Groups of three digits, all but the last prefixed with x: 1234067 is x001/x234/067. */
function numberPath(n: number): string {
  assertCount(n, 0, Number.MAX_SAFE_INTEGER);
  const digits = `${n}`;
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? [];
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/');
}

function suffix(width: number): string {
  assertCount(width, 1, TILE_WIDTH);
  return width === TILE_WIDTH ? '' : `.p/${width}`;
}

function assertCount(value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${value} is not from ${min} to ${max}`);
  }
}
