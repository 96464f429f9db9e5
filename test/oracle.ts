import { openCheckpoint } from '../daemon/formats/checkpoint.ts';
import { toHex } from '../daemon/formats/digest.ts';
import { decodeEntry, type Entry, entryHash } from '../daemon/formats/entry.ts';
import type { LogVkey } from '../daemon/formats/log-keys.ts';
import { EMPTY_ROOT, leafHash, nodeHash, rootOf } from '../daemon/formats/merkle.ts';
import { type Database, openDatabase } from '../daemon/ledger/database.ts';
import { HEAD_KIND, LEDGER_KIND, TILE_LEVEL_STEP } from '../daemon/ledger/schema.ts';

/** What the oracle read, for assertions about content. */
export interface Truth {
  entries: Entry[];
  /** Size of the tree in the head store. */
  headSize: number;
}

/**
 * The whole-ledger oracle: throws on the first thing in a ledger's files that is not as it must be. Slow and plain on
 * purpose: it recomputes everything from the entries by the definitions and shares only the formats (and the way to open
 * a file) with the code under test.
 *
 * Files that are open elsewhere in this process may be checked between batches.
 */
export function checkLedger(
  paths: { ledger: string; head: string },
  trust: { origin: string; vkeys: readonly LogVkey[] },
): Truth {
  const ledger = openDatabase(paths.ledger, { kind: LEDGER_KIND, readonly: true });
  const head = openDatabase(paths.head, { kind: HEAD_KIND, readonly: true });
  try {
    // First: a daemon may go on meanwhile, and the head store never gets ahead of the ledger.
    const stored = readHead(head, trust);
    ledger.beginRead();
    const { entries, leaves } = checkEntries(ledger, trust);
    const roots = rootsOfAllSizes(leaves);
    checkCheckpoints(ledger, trust, roots);
    checkTiles(ledger, leaves);
    checkStreams(ledger, entries);
    return { entries, headSize: checkHead(stored, trust, roots) };
  } finally {
    ledger.close();
    head.close();
  }
}

function checkEntries(
  ledger: Database,
  trust: { origin: string },
): { entries: Entry[]; leaves: Uint8Array[] } {
  const rows = ledger
    .prepare<{ idx: number; prev_idx: number | null; bytes: Uint8Array }>(
      'SELECT * FROM entries ORDER BY idx',
    )
    .all();
  const last = new Map<string, { index: number; seq: number; hash: string }>();
  const entries = rows.map(({ idx, prev_idx: prevIdx, bytes }, position) => {
    same(idx, position, 'index of an entry');
    const entry = decodeEntry(bytes);
    const before = last.get(entry.stream);
    same(prevIdx, before?.index ?? null, `prev_idx of entry ${idx}`);
    same(entry.seq, before === undefined ? 0 : before.seq + 1, `seq of entry ${idx}`);
    same(entry.prev, before?.hash ?? null, `prev of entry ${idx}`);
    same(`${entry.site}/ledger`, trust.origin, `site of entry ${idx}`);
    last.set(entry.stream, { index: idx, seq: entry.seq, hash: entryHash(bytes) });
    return entry;
  });
  return { entries, leaves: rows.map((row) => leafHash(row.bytes)) };
}

/** Element n is the root of the first n leaves, by keeping the perfect subtrees of a growing tree on a stack. */
function rootsOfAllSizes(leaves: readonly Uint8Array[]): string[] {
  const roots = [toHex(EMPTY_ROOT)];
  const stack: { hash: Uint8Array; height: number }[] = [];
  for (const leaf of leaves) {
    let node = { hash: leaf, height: 0 };
    for (let top = stack.at(-1); top?.height === node.height; top = stack.at(-1)) {
      stack.pop();
      node = { hash: nodeHash(top.hash, node.hash), height: node.height + 1 };
    }
    stack.push(node);
    roots.push(toHex(stack.map(({ hash }) => hash).reduceRight((right, left) => nodeHash(left, right))));
  }
  same(roots.at(-1), toHex(rootOf(leaves)), 'root by the stack and by the definition');
  return roots;
}

function checkCheckpoints(
  ledger: Database,
  trust: { origin: string; vkeys: readonly LogVkey[] },
  roots: readonly string[],
): void {
  const rows = ledger
    .prepare<{ size: number; note: string }>('SELECT size, note FROM checkpoints ORDER BY size')
    .all();
  for (const { size, note } of rows) {
    const checkpoint = openCheckpoint(note, trust);
    same(checkpoint.size, size, 'size of a checkpoint');
    same(toHex(checkpoint.root), roots[size], `root of checkpoint ${size}`);
  }
  same(rows.at(-1)?.size ?? 0, roots.length - 1, 'size of the newest checkpoint');
}

function checkTiles(ledger: Database, leaves: readonly Uint8Array[]): void {
  const expected: [number, string][] = [];
  let hashes = [...leaves];
  for (let level = 0; hashes.length >= 256; level++) {
    const above: Uint8Array[] = [];
    for (let n = 0; (n + 1) * 256 <= hashes.length; n++) {
      const tile = hashes.slice(n * 256, (n + 1) * 256);
      expected.push([level * TILE_LEVEL_STEP + n, Buffer.concat(tile).toString('hex')]);
      above.push(rootOf(tile));
    }
    hashes = above;
  }
  const rows = ledger.prepareTuple<[number, Uint8Array]>('SELECT id, hashes FROM tiles ORDER BY id').all();
  same(rows.length, expected.length, 'number of tiles');
  rows.forEach(([id, tile], index) => {
    same(id, expected[index]?.[0], 'id of a tile');
    same(toHex(tile), expected[index]?.[1], `tile ${id}`);
  });
}

function checkStreams(ledger: Database, entries: readonly Entry[]): void {
  const expected = new Map(entries.map((entry, index) => [entry.stream, `${entry.seq} at ${index}`]));
  const rows = ledger
    .prepareTuple<[string, number, number]>('SELECT stream, seq, last_idx FROM streams')
    .all();
  same(rows.length, expected.size, 'number of streams');
  for (const [stream, seq, index] of rows)
    same(`${seq} at ${index}`, expected.get(stream), `stream ${stream}`);
}

interface StoredHead {
  size: number;
  root: string;
  note: string | null;
}

function readHead(head: Database, trust: { origin: string }): StoredHead {
  const row = head
    .prepare<StoredHead>('SELECT size, root, note FROM head WHERE origin = ?')
    .get(trust.origin);
  if (row === undefined) throw new Error('oracle: the head store does not know the ledger');
  return row;
}

function checkHead(
  { size, root, note }: StoredHead,
  trust: { origin: string; vkeys: readonly LogVkey[] },
  roots: readonly string[],
): number {
  same(root, roots[size], 'root in the head store');
  if (note !== null) same(toHex(openCheckpoint(note, trust).root), root, 'checkpoint in the head store');
  return size;
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`oracle: ${what} is ${actual}, expected ${expected}`);
}
