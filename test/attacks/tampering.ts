import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import { leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { type NoteSigner, signNote } from '../../daemon/formats/signed-note.ts';
import { loadSigner } from '../../daemon/host/signer.ts';
import { type Database, openDatabase } from '../../daemon/ledger/database.ts';
import { HEAD_KIND, LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import type { Loot } from './evidence-world.ts';

/* What somebody with root does to a ledger's files, knowing all about how they are made. */

/** Where there are decisions in a full tile, and in the last one, which is not full. */
export const EARLY = 270;
export const LATE = 515;

const TRIGGERS = LEDGER_OBJECTS.filter(({ type }) => type === 'trigger');

/** Works on the ledger's tables with the triggers out of the way, and puts them back so that nothing shows. */
export function onLedger({ paths }: Loot, work: (database: Database) => void): void {
  const database = openDatabase(paths.ledger, { kind: LEDGER_KIND });
  try {
    for (const { name } of TRIGGERS) database.exec(`DROP TRIGGER ${name}`);
    work(database);
    for (const { sql } of TRIGGERS) database.exec(sql);
  } finally {
    database.close();
  }
}

function onHead({ paths }: Loot, work: (database: Database) => void): void {
  const database = openDatabase(paths.head, { kind: HEAD_KIND });
  try {
    work(database);
  } finally {
    database.close();
  }
}

/** The key that lies at the site, in the thief's hands. */
export function keyOf({ paths }: Loot): NoteSigner {
  return loadSigner(join(paths.keys, 'ledger.key'));
}

export function textAt(database: Database, index: number): string {
  return (
    database.prepareColumn<string>('SELECT CAST(bytes AS TEXT) FROM entries WHERE idx = ?').get(index) ?? ''
  );
}

export function writeAt(database: Database, index: number, text: string): void {
  database.prepare('UPDATE entries SET bytes = ? WHERE idx = ?').run(Buffer.from(text, 'utf8'), index);
}

/** Another word in the same place: who asked for it, what for. */
export function edited(text: string): string {
  const changed = text.replace('test a fault', 'test a vault');
  if (changed === text) throw new Error('the entry has no such word');
  return changed;
}

/** The first entry of a decision from an index on; it has no other. */
export function decisionFrom(database: Database, from: number): number {
  const found = database
    .prepareColumn<number>(
      "SELECT idx FROM entries WHERE idx >= ? AND CAST(bytes AS TEXT) LIKE '%test a fault%' ORDER BY idx",
    )
    .get(from);
  if (found === undefined) throw new Error(`no decision from entry ${from} on`);
  return found;
}

/** Edits the first entry in a full tile. Returns its index. */
export function editEarly(loot: Loot): number {
  let index = 0;
  onLedger(loot, (database) => {
    index = decisionFrom(database, EARLY);
    writeAt(database, index, edited(textAt(database, index)));
  });
  return index;
}

/** Hash of every leaf: of archived ones by the tiles, of all others by their bytes as they are now. */
function leaves(database: Database): Uint8Array[] {
  const rows = database
    .prepareTuple<[number, Uint8Array]>('SELECT idx, bytes FROM entries ORDER BY idx')
    .all();
  const size = (rows.at(-1)?.[0] ?? -1) + 1;
  const hashes: Uint8Array[] = Array.from({ length: size }, () => new Uint8Array(32));
  for (const [id, tile] of tiles(database))
    for (let at = 0; at < 256; at++) hashes[id * 256 + at] = tile.subarray(at * 32, at * 32 + 32);
  for (const [index, bytes] of rows) hashes[index] = leafHash(bytes);
  return hashes;
}

function tiles(database: Database): [number, Uint8Array][] {
  return database.prepareTuple<[number, Uint8Array]>('SELECT id, hashes FROM tiles WHERE id < 1000').all();
}

/** Makes the tiles what the entries are. Returns the leaves. */
export function rehash(database: Database): Uint8Array[] {
  const hashes = leaves(database);
  for (const [id] of tiles(database))
    database
      .prepare('UPDATE tiles SET hashes = ? WHERE id = ?')
      .run(Buffer.concat(hashes.slice(id * 256, id * 256 + 256)), id);
  return hashes;
}

/** A new history from `from` on: tiles, one checkpoint over all, and the head store say the same. */
export function resign(loot: Loot, from: number, signer: NoteSigner): void {
  let head = { size: 0, root: '', note: '' };
  onLedger(loot, (database) => {
    const hashes = rehash(database);
    const root = rootOf(hashes);
    const note = signNote(formatCheckpoint({ origin: signer.name, size: hashes.length, root }), [signer]);
    database.prepare('DELETE FROM checkpoints WHERE size > ?').run(from);
    database.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?)').run(hashes.length, note);
    head = { size: hashes.length, root: toHex(root), note };
  });
  onHead(loot, (database) => {
    database.prepare('UPDATE head SET size = ?, root = ?, note = ?').run(head.size, head.root, head.note);
  });
}

/** Turns one bit in the middle of a file. */
export function flip(path: string): void {
  flipAt(path, Math.floor(statSync(path).size / 2));
}

export function flipAt(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(path, bytes);
}
