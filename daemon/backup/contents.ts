import { closeSync, constants, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { equalBytes, toHex } from '../formats/digest.ts';
import type { Json } from '../formats/json.ts';
import { currentLog } from '../formats/log-keys.ts';
import { leafHash } from '../formats/merkle.ts';
import { encodeEntryBundle, entriesPath, TILE_WIDTH, tilePath, tilesForSize } from '../formats/tile.ts';
import { readBounded } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { SitePaths } from '../host/site.ts';
import { VERSION } from '../host/version.ts';
import { openHeadStore } from '../ledger/head-store.ts';
import { viewLedger } from '../ledger/open.ts';
import type { LedgerReader } from '../ledger/read.ts';
import { LEDGER_OBJECTS } from '../ledger/schema.ts';
import { newestHead } from '../ledger/tile-directory.ts';
import { MANIFEST, type Manifest } from './manifest.ts';

/** One file of the tar. */
export interface Member {
  name: string;
  bytes: Uint8Array;
}

/** What is backed up. */
export interface BackupSource {
  paths: SitePaths;
  site: string;
  profile: string;
  /** RFC 3339. */
  now: string;
  withKeys: boolean;
}

/** Public and local files of a site, by their paths in it; directories with everything in them. */
const FILES: readonly string[] = [
  'holdfast.json',
  'trust',
  'state/policy',
  'state/tls/issued',
  'state/archive',
  'state/former',
  'outbox',
];
/** Secret keys, and certificates that hold one. */
const KEYS: readonly string[] = ['state/keys', 'state/tls'];
/** The keys of the envelopes of logs that ended: as secret as those of the log in use. */
const FORMER_KEYS = /^state\/former\/[^/]+\/keys\//;
/** Larger files (the database of a closed log) are told in parts, so that memory stays flat. */
const PART_BYTES = 32 * 1024 * 1024;
const ROWS = 4_096;
/** Bundles whose links are told at once. */
const LINKED_BUNDLES = 64;
/** What is told in another form: entries as bundles, tiles as tiles. */
const APART: readonly string[] = ['entries', 'tiles'];

/**
 * Everything of a site that a backup holds, as of one snapshot of its ledger, also while the daemon runs. The ledger's
 * newest checkpoint is verified, and each entry against its tile on the way: what is damaged is not backed up as if it
 * were well. Throws `BoundaryError` `ledger.*`, `backup.damaged`.
 */
export function* backupContents(source: BackupSource): Generator<Member, Manifest['ledger']> {
  const { paths } = source;
  const { origin, keys } = currentLog(readLineage(paths.trust));
  const trust = { origin, vkeys: keys };
  // The head store first: it follows the ledger, and the snapshot taken after it must have reached it.
  const head = headRow(paths.head, origin);
  const view = viewLedger(paths.ledger, trust);
  try {
    const { size, root, note } = newestHead(view, trust);
    const ledger = { origin, size, root: toHex(root) };
    yield json(MANIFEST, { ...manifestOf(source), ledger });
    yield { name: 'checkpoint', bytes: Buffer.from(note, 'utf8') };
    yield* siteFiles(paths.root, source.withKeys);
    yield* tables(view);
    yield json('head.json', head);
    yield* hashTiles(view, size);
    yield* entries(view, size);
    return ledger;
  } finally {
    view.close();
  }
}

function manifestOf({ site, profile, now, withKeys }: BackupSource): Omit<Manifest, 'ledger'> {
  return { format: 'holdfast/backup/v1', version: VERSION, site, profile, made_at: now, keys: withKeys };
}

function json(name: string, value: unknown): Member {
  return { name, bytes: Buffer.from(JSON.stringify(value), 'utf8') };
}

function headRow(path: string, origin: string): Json {
  const store = openHeadStore(path, { readonly: true });
  try {
    return store.read(origin) as unknown as Json;
  } finally {
    store.close();
  }
}

function* siteFiles(root: string, withKeys: boolean): Generator<Member> {
  const seen = new Set<string>();
  for (const place of withKeys ? [...FILES, ...KEYS] : FILES) {
    for (const path of filesUnder(root, place)) {
      if (seen.has(path) || (!withKeys && FORMER_KEYS.test(path))) continue;
      seen.add(path);
      if (lstatSync(join(root, path)).size > PART_BYTES) yield* partsOf(root, path);
      else yield* wholeFile(root, path);
    }
  }
}

/** Regular files, in order of their names; what is half written (`.NAME.*.tmp`) is nobody's yet. */
function filesUnder(root: string, path: string): string[] {
  const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
  if (stat?.isFile() === true) return [path];
  if (stat?.isDirectory() !== true) return [];
  const names = readdirSync(join(root, path)).sort();
  return names.filter((name) => !name.startsWith('.')).flatMap((name) => filesUnder(root, `${path}/${name}`));
}

/** A file of the outbox may be acknowledged and gone at any moment. */
function* wholeFile(root: string, path: string): Generator<Member> {
  try {
    yield { name: `site/${path}`, bytes: readBounded(join(root, path), PART_BYTES) };
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code !== 'file.missing') throw error;
  }
}

function* partsOf(root: string, path: string): Generator<Member> {
  const { O_NOFOLLOW, O_RDONLY } = constants;
  const fd = openSync(join(root, path), O_RDONLY | O_NOFOLLOW);
  try {
    for (let n = 0; ; n++) {
      const part = Buffer.alloc(PART_BYTES);
      const length = readSync(fd, part, 0, PART_BYTES, n * PART_BYTES);
      if (length === 0) return;
      yield { name: `parts/${digits(n)}/${path}`, bytes: part.subarray(0, length) };
    }
  } finally {
    closeSync(fd);
  }
}

/** Every table but the ones told apart, projections too: they belong to this very head. */
function* tables(view: LedgerReader): Generator<Member> {
  const names = view.database
    .prepareColumn<string>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .all();
  const own = new Set(LEDGER_OBJECTS.map(({ name }) => name));
  for (const name of names) {
    if (APART.includes(name)) continue;
    if (!own.has(name) && !/^[a-z_]{1,64}$/.test(name)) throw new Error(`backup: a table ${name}`);
    yield* rowsOf(view, name);
  }
}

function* rowsOf(view: LedgerReader, table: string): Generator<Member> {
  const columns = view.database.prepareColumn<string>(`SELECT name FROM pragma_table_info('${table}')`).all();
  const rows = view.database.prepareTuple<(string | number | null | Buffer)[]>(`SELECT * FROM ${table}`);
  let page: Json[] = [];
  let n = 0;
  const told = (): Member => json(`tables/${table}/${digits(n++)}.json`, { columns, rows: page });
  for (const row of rows.iterate()) {
    page.push(row.map((value) => (Buffer.isBuffer(value) ? { base64: value.toString('base64') } : value)));
    if (page.length < ROWS) continue;
    yield told();
    page = [];
  }
  if (page.length > 0 || n === 0) yield told();
}

function* hashTiles(view: LedgerReader, size: number): Generator<Member> {
  for (const { level, n, width } of tilesForSize(size)) {
    const bytes = view.tile(level, n, width);
    if (bytes === null) throw damaged(`the tile ${tilePath(level, n, width)} is missing`);
    yield { name: tilePath(level, n, width), bytes };
  }
}

type Row = [index: number, previous: number | null, bytes: Buffer];

function* entries(view: LedgerReader, size: number): Generator<Member> {
  const read = view.database.prepareTuple<Row>(
    'SELECT idx, prev_idx, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
  );
  const step = LINKED_BUNDLES * TILE_WIDTH;
  for (let from = 0; from < size; from += step) {
    const rows = read.all(from, Math.min(from + step, size));
    yield json(
      `links/${digits(from / step)}.json`,
      rows.map(([index, previous]) => [index, previous]),
    );
    for (let first = from; first < Math.min(from + step, size); first += TILE_WIDTH) {
      const width = Math.min(TILE_WIDTH, size - first);
      const bundle = rows.filter(([index]) => index >= first && index < first + width);
      assertTrue(view, first, width, bundle);
      const n = first / TILE_WIDTH;
      const name = bundle.length === width ? entriesPath(n, width) : `rows/${digits(n)}`;
      yield { name, bytes: encodeEntryBundle(bundle.map(([, , bytes]) => bytes)) };
    }
  }
}

/** Each row has the hash that the tree has; each that is missing was moved to an archive file on record. */
function assertTrue(view: LedgerReader, first: number, width: number, rows: readonly Row[]): void {
  const tile = view.tile(0, first / TILE_WIDTH, width);
  if (tile === null) throw damaged(`the tile of entry ${first} is missing`);
  const present = new Set<number>();
  for (const [index, , bytes] of rows) {
    present.add(index);
    const at = (index - first) * 32;
    if (!equalBytes(leafHash(bytes), tile.subarray(at, at + 32)))
      throw damaged(`entry ${index} is not what was recorded`);
  }
  for (let index = first; index < first + width; index++) {
    if (!present.has(index) && view.archive.segmentAt(index) === null)
      throw damaged(`entry ${index} is missing`);
  }
}

function digits(n: number): string {
  return String(n).padStart(6, '0');
}

function damaged(what: string): BoundaryError {
  return new BoundaryError(
    'backup.damaged',
    `No backup was made: ${what} in the ledger. Run ledger verify, keep a copy of the files as evidence, and restore an older backup.`,
  );
}
