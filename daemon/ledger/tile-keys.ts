import { BoundaryError } from '../formats/boundary-error.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { claimedHead, readTileHead, TileReader } from './tile-reader.ts';
import { type Followed, followStatements, statementOf } from './verify-keys.ts';
import type { LedgerTrust } from './verify-range.ts';

/**
 * Whom to believe about the directory: where nobody who is trusted has signed its checkpoint, whoever the keys that are
 * trusted vouch for in its entries.
 */
export function followedInTiles(directory: string, trust: LedgerTrust): Followed {
  try {
    readTileHead(directory, trust);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    if (error.code === 'tiles.key') return followStatements(trust, () => statementsIn(directory));
  }
  return { trust, followed: [] };
}

/** The statements about changed keys in a directory's entries, as far as they can be read. Nothing is verified here. */
function statementsIn(directory: string): string[] {
  const head = claimedHead(directory);
  if (head === null) return [];
  const reader = new TileReader(directory, head);
  const found: string[] = [];
  for (let n = 0; n * TILE_WIDTH < head.size; n++) {
    const entries = readable(() => reader.bundle(n));
    if (entries === null) break;
    for (const bytes of entries) {
      const text = Buffer.from(bytes).toString('utf8');
      if (text.includes('"type":"key.rotated"')) found.push(...statementOf(text));
    }
  }
  return found;
}

/** A bundle that cannot be read is reported where it is verified. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
