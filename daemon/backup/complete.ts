import { rebuildProjections } from '../engine/rebuild.ts';
import { toHex } from '../formats/digest.ts';
import { decodeEntry } from '../formats/entry.ts';
import { leafHash } from '../formats/merkle.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { type Database, openDatabase } from '../ledger/database.ts';
import { viewLedger } from '../ledger/open.ts';
import { databaseTiles } from '../ledger/read.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { TileReader, tileError } from '../ledger/tile-reader.ts';
import { MerkleTree } from '../ledger/tree.ts';
import type { LedgerTrust } from '../ledger/verify-range.ts';

/**
 * Adds to a restored ledger what its second copy knows beyond it, up to the copy's signed head. Returns how many entries
 * that were. Sensitive values are in no copy: those of these entries are lost. Throws `BoundaryError` `tiles.*`; the caller
 * verifies the whole afterwards.
 */
export function completeFromCopy(path: string, directory: string, trust: LedgerTrust): number {
  const copy = TileReader.open(directory, trust);
  const view = viewLedger(path, trust);
  const { size } = view;
  const isOurs = copy.head.size >= size && toHex(copy.root(size)) === toHex(view.root(size));
  view.close();
  if (copy.head.size <= size) return 0;
  if (!isOurs)
    throw tileError('other_history', directory, `its first ${size} entries are not those of the backup`);
  const database = openDatabase(path, { kind: LEDGER_KIND });
  try {
    database.begin();
    append(database, copy, size);
    database.commit();
  } catch (error) {
    database.rollback();
    throw error;
  } finally {
    database.close();
  }
  rebuildProjections(path);
  return copy.head.size - size;
}

function append(database: Database, copy: TileReader, from: number): void {
  const tree = loadTree(database, from);
  const insert = database.prepare('INSERT INTO entries (idx, prev_idx, bytes) VALUES (?, ?, ?)');
  const last = database.prepareColumn<number>('SELECT last_idx FROM streams WHERE stream = ?');
  const move = database.prepare(
    'INSERT INTO streams (stream, seq, last_idx) VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, last_idx = excluded.last_idx',
  );
  for (let index = from; index < copy.head.size; ) {
    const n = Math.floor(index / TILE_WIDTH);
    const entries = copy.bundle(n);
    if (entries === null) throw tileError('damaged', copy.directory, `entries from ${index} on are missing`);
    for (const bytes of entries.slice(index - n * TILE_WIDTH)) {
      const { stream, seq } = decodeEntry(bytes);
      insert.run(index, last.get(stream) ?? null, bytes);
      move.run(stream, seq, index);
      tree.append(leafHash(bytes));
      index++;
    }
  }
  if (toHex(tree.root()) !== toHex(copy.head.root))
    throw tileError('damaged', copy.directory, 'its entries do not have the root of its checkpoint');
  database.prepare('INSERT INTO checkpoints (size, note) VALUES (?, ?)').run(copy.head.size, copy.head.note);
}

function loadTree(database: Database, size: number): MerkleTree {
  const rows = database
    .prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx >= ? ORDER BY idx')
    .all(size - (size % TILE_WIDTH));
  return MerkleTree.load(databaseTiles(database), size, rows.map(leafHash));
}
