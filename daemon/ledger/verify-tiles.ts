import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { equalBytes, toHex } from '../formats/digest.ts';
import { decodeEntry, entryHash } from '../formats/entry.ts';
import { parseLogVkey } from '../formats/log-keys.ts';
import { leafHash } from '../formats/merkle.ts';
import { entriesPath, TILE_WIDTH, tilePath } from '../formats/tile.ts';
import { type EntryLink, scanEntry } from './entry-scan.ts';
import { type Finding, Findings, tampered } from './finding.ts';
import { SubtreeRoots } from './subtree-roots.ts';
import { followedInTiles } from './tile-keys.ts';
import { HASH_BYTES, TILE_HEIGHT, TileNodes } from './tile-nodes.ts';
import { claimedOrigin, readTileHead, type TileHead, TileReader } from './tile-reader.ts';
import type { VerifyReport } from './verify.ts';
import { closedOtherwise } from './verify-closed.ts';
import { readHead, verifyHead } from './verify-head.ts';
import { cutBack } from './verify-keys.ts';
import { borderOf, type LedgerTrust } from './verify-range.ts';

export interface VerifyTilesOptions {
  directory: string;
  trust: LedgerTrust;
  /** Without a head store the loss of the newest files together with their checkpoint cannot be noticed. */
  headPath?: string;
  onProgress?: (done: number, total: number) => void;
  /** Awaited between bundles: how a background check stays polite. */
  pause?: () => Promise<void>;
}

/**
 * Verifies a tile directory as `verifyLedger` does a database: canonical entries, each the next of its stream, hashed into
 * the tiles, the tiles into the root that the checkpoint signs. Same findings, same codes. Throws for what is not the
 * directory's fault: `file.missing`, `vkey.*`, the system's errors.
 */
export async function verifyTileDirectory(options: VerifyTilesOptions): Promise<VerifyReport> {
  const { directory, headPath } = options;
  if (!existsSync(directory)) {
    throw new BoundaryError('file.missing', `${directory} does not exist; nothing was verified.`, {
      at: directory,
    });
  }
  const { trust, followed } = followedInTiles(directory, trustFor(directory, options.trust));
  const findings = new Findings();
  // The head store first: it follows the ledger, and a directory looked at later must have reached it.
  const scope = { where: headPath ?? '', trust, findings };
  const stored = headPath === undefined ? null : await readHead(headPath, scope);
  const head = headOf(directory, trust, findings);
  if (head === null) return report(findings, 0, null);
  const verifier = new TilesVerifier(new TileReader(directory, head), trust, findings);
  const bundles = Math.ceil(head.size / TILE_WIDTH);
  for (let n = 0; n < bundles && verifier.bundle(n); n++) {
    options.onProgress?.(Math.min((n + 1) * TILE_WIDTH, head.size), head.size);
    await options.pause?.();
  }
  verifier.finish();
  const cut = cutBack(trust, head.origin, verifier.entries);
  if (cut !== null) findings.add(cut);
  const rootAt = (size: number): Uint8Array | null => verifier.rootAt(size);
  const otherwise = closedOtherwise(options.trust, head.origin, rootAt, verifier.entries);
  if (otherwise !== null) findings.add(otherwise);
  if (stored !== null) {
    verifyHead(stored, { entries: verifier.entries, rootAt }, scope);
  }
  const { origin, size, root, note } = head;
  const found = report(findings, verifier.entries, { size, root: toHex(root), note });
  return {
    ...found,
    ...(origin === options.trust.origin ? {} : { origin }),
    ...(followed.length === 0 ? {} : { followed }),
  };
}

/** Which of the site's logs the directory is of: the newest of those that are believed, or one that it goes on for. */
function trustFor(directory: string, trust: LedgerTrust): LedgerTrust {
  const claimed = claimedOrigin(directory);
  const isKnown = trust.vkeys.some((key) => parseLogVkey(key).name === claimed);
  return claimed === null || !isKnown ? trust : { ...trust, origin: claimed };
}

function report(findings: Findings, entries: number, checkpoint: VerifyReport['checkpoint']): VerifyReport {
  return { code: findings.code(), entries, checkpoint, findings: findings.kept, total: findings.total };
}

/** The directory's checkpoint; null when that is a finding of its own, after which there is nothing to hold entries against. */
function headOf(directory: string, trust: LedgerTrust, findings: Findings): TileHead | null {
  const where = join(directory, 'checkpoint');
  try {
    const head = readTileHead(directory, trust);
    if (head === null) findings.add(noCheckpoint(directory, where));
    return head;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const foreign = error.code === 'tiles.other_log';
    const code = foreign || error.code === 'tiles.key' ? 13 : 10;
    findings.add({ code, what: foreign ? 'trust' : 'checkpoint', where, detail: error.message });
    return null;
  }
}

function noCheckpoint(directory: string, where: string): Finding {
  if (!existsSync(join(directory, 'tile'))) {
    const detail = `${directory} is no tile directory: it has neither checkpoint nor tiles. Name the right one.`;
    return tampered('kind', where, detail);
  }
  const detail = 'the checkpoint is missing, so nothing says how far the entries should go';
  return { code: 14, what: 'checkpoint', where, detail };
}

/** What is wrong with a stored tile; `first` is the index of its first entry where its hashes are those of entries. */
function tileFinding(
  where: string,
  stored: Uint8Array | null,
  hashes: Uint8Array,
  first: number | null,
  of: string,
): Finding {
  if (stored === null) return tampered('tree', where, 'the tile is missing or cut short');
  const detail = `the tile does not hold ${of}`;
  if (first === null) return tampered('tree', where, detail);
  const index = first + Math.floor(hashes.findIndex((byte, at) => byte !== stored[at]) / HASH_BYTES);
  return tampered('tree', where, `${detail}: entry ${index} or its hash was changed`, index);
}

/** Takes the bundles in order and puts the tree together from them. */
class TilesVerifier {
  entries = 0;
  readonly #reader: TileReader;
  readonly #findings: Findings;
  readonly #site: string;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  /** Entry types that `decodeEntry` has let pass. */
  readonly #types = new Set<string>();
  readonly #streams = new Map<string, { seq: number; hash: string }>();
  readonly #subtrees = new SubtreeRoots();
  #border: Uint8Array | null = null;
  /** False once entries are missing: what follows cannot be put into the tree. */
  #whole = true;

  constructor(reader: TileReader, trust: LedgerTrust, findings: Findings) {
    this.#reader = reader;
    this.#findings = findings;
    this.#site = trust.origin.replace(/\/ledger(?:\/[0-9]+)?$/, '');
  }

  /** Verifies one bundle and its tile; false when there is no use in going on. */
  bundle(n: number): boolean {
    const first = n * TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, this.#reader.head.size - first);
    const entries = this.#read(n, width);
    if (entries === null) return false;
    const tile = new TileNodes();
    entries.forEach((bytes, at) => {
      const defect = this.#entryDefect(bytes);
      if (defect !== null)
        this.#findings.add(tampered('entry', `entries[${first + at}]`, defect, first + at));
      tile.push(leafHash(bytes));
    });
    this.#tile(0, n, tile.hashes(width), 'the hashes of its entries');
    if (width === TILE_WIDTH) this.#subtrees.append(Uint8Array.from(tile.node(TILE_HEIGHT, 0)));
    else this.#border = borderOf(tile);
    this.entries = first + width;
    return true;
  }

  /** Null, with a finding, when the bundle is missing or unreadable. */
  #read(n: number, width: number): Uint8Array[] | null {
    const where = entriesPath(n, width);
    const index = n * TILE_WIDTH;
    this.#whole = false;
    try {
      const entries = this.#reader.bundle(n);
      if (entries === null) this.#findings.add(this.#missing(n, where));
      this.#whole = entries !== null;
      return entries;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      this.#findings.add(tampered('entry', where, error.message, index));
      return null;
    }
  }

  /** A bundle that nothing follows is history that was cut off; one in the middle was taken out. */
  #missing(n: number, where: string): Finding {
    const index = n * TILE_WIDTH;
    const { size } = this.#reader.head;
    const bundles = Math.ceil(size / TILE_WIDTH);
    for (let later = n + 1; later < bundles; later++) {
      if (this.#isThere(later)) return tampered('entry', where, 'the entries are missing', index);
    }
    const detail = `the checkpoint covers ${size} entries, their files end at ${index}`;
    return { code: 14, what: 'checkpoint', where, detail, index };
  }

  #isThere(n: number): boolean {
    const width = Math.min(TILE_WIDTH, this.#reader.head.size - n * TILE_WIDTH);
    return existsSync(join(this.#reader.directory, entriesPath(n, width)));
  }

  /** What is wrong with an entry; null when it is canonical, of this site, and the next of its stream. */
  #entryDefect(bytes: Uint8Array): string | null {
    const entry = this.#link(bytes);
    if (typeof entry === 'string') return entry;
    const { site, stream, seq, prev } = entry;
    if (site !== this.#site) return `it is of site ${site}, the ledger of ${this.#site}`;
    const before = this.#streams.get(stream);
    this.#streams.set(stream, { seq, hash: entryHash(bytes) });
    if (seq !== (before?.seq ?? -1) + 1) return `it is number ${seq} of its stream, which is not the next`;
    return prev === (before?.hash ?? null)
      ? null
      : 'its prev is not the hash of the entry before it in its stream';
  }

  /** How an entry sits in its stream; a string is what is wrong with it. */
  #link(bytes: Uint8Array): EntryLink | string {
    try {
      const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      const shown = scanEntry(view, 0, view.length, this.#types);
      if (shown !== null) return shown;
      // Throws for what is not UTF-8.
      this.#decoder.decode(bytes);
      const entry = decodeEntry(bytes);
      this.#types.add(entry.type);
      return entry;
    } catch (error) {
      if (error instanceof BoundaryError) return error.message;
      if (error instanceof TypeError) return 'it is not UTF-8';
      throw error;
    }
  }

  #tile(level: number, n: number, hashes: Uint8Array, of: string): void {
    const width = hashes.length / HASH_BYTES;
    const where = tilePath(level, n, width);
    const stored = this.#reader.tile(level, n, width);
    if (stored !== null && equalBytes(stored, hashes)) return;
    this.#findings.add(tileFinding(where, stored, hashes, level === 0 ? n * TILE_WIDTH : null, of));
  }

  /** The tiles above the lowest, and the root. */
  finish(): void {
    const { size, root } = this.#reader.head;
    if (!this.#whole || this.entries !== size) return;
    for (
      let level = 1, width = this.#subtrees.size;
      width > 0;
      level++, width = Math.floor(width / TILE_WIDTH)
    ) {
      for (let first = 0; first < width; first += TILE_WIDTH) {
        const count = Math.min(TILE_WIDTH, width - first);
        const hashes = this.#subtrees.hashes((level - 1) * TILE_HEIGHT, first, count);
        this.#tile(level, first / TILE_WIDTH, hashes, 'the roots below it');
      }
    }
    const computed = this.#subtrees.rootWith(Math.floor(size / TILE_WIDTH), this.#border);
    if (computed !== null && equalBytes(computed, root)) return;
    const detail = `the first ${size} entries do not have the root that was signed`;
    this.#findings.add(tampered('checkpoint', 'checkpoint', detail));
  }

  /** Root of the first `size` entries; null when entries are missing. */
  rootAt(size: number): Uint8Array | null {
    if (!this.#whole || size > this.entries) return null;
    const n = Math.floor(size / TILE_WIDTH);
    const rest = size % TILE_WIDTH === 0 ? [] : (this.#reader.bundle(n) ?? []).slice(0, size % TILE_WIDTH);
    const tile = new TileNodes();
    for (const bytes of rest) tile.push(leafHash(bytes));
    return this.#subtrees.rootWith(n, borderOf(tile));
  }
}
