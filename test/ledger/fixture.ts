import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { publicKeyOf, signEd25519 } from '../../daemon/formats/ed25519.ts';
import { type EntryType, encodeEntry } from '../../daemon/formats/entry.ts';
import { formatVkey } from '../../daemon/formats/signed-note.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { type Database, openDatabase } from '../../daemon/ledger/database.ts';
import { openHeadStore, saveHead } from '../../daemon/ledger/head-store.ts';
import type { NoteSigner } from '../../daemon/ledger/ledger.ts';
import { createLedger, openLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import { checkLedger, type Truth } from '../oracle.ts';

export const SITE = 'outpost-7.example';
export const ORIGIN = `${SITE}/ledger`;

export function signerOf(seedByte: number, name = ORIGIN): NoteSigner {
  const seed = new Uint8Array(32).fill(seedByte);
  return { name, vkey: formatVkey(name, publicKeyOf(seed)), sign: (text) => signEd25519(seed, text) };
}

export const SIGNER = signerOf(7);
export const TRUST = { origin: ORIGIN, vkeys: [SIGNER.vkey] };

/** A ledger's two files in a directory. */
export interface Files {
  ledger: string;
  head: string;
}

export function filesIn(directory: string): Files {
  return { ledger: join(directory, 'ledger.sqlite'), head: join(directory, 'head.sqlite') };
}

export function create(files: Files): LedgerWriter {
  return createLedger({ path: files.ledger, headPath: files.head, origin: ORIGIN, signer: SIGNER });
}

export function open(files: Files, signer = SIGNER): LedgerWriter {
  return openLedger({ path: files.ledger, headPath: files.head, origin: ORIGIN, signer });
}

/** Bytes of the next entry of a stream. */
export function nextEntry(ledger: LedgerWriter, stream: string, data: string, type?: EntryType): Uint8Array {
  const { seq, prev } = ledger.streamHead(stream);
  return encodeEntry({
    v: 1,
    site: SITE,
    type: type ?? (seq === 0 ? 'decision.authorized' : 'permit.redeemed'),
    at: '2026-02-03T04:05:06.789Z',
    time_trust: 'trusted',
    stream,
    seq,
    prev,
    actor: { id: 'agent:ops-1', role: 'agent' },
    data: { text: data },
  });
}

/** Appends one batch, one entry for each stream named, and commits it. Returns the checkpoint. */
export function commitBatch(ledger: LedgerWriter, streams: readonly string[], data = 'd'): string {
  ledger.begin();
  for (const stream of streams) ledger.append(stream, nextEntry(ledger, stream, `${data} ${ledger.size}`));
  const note = ledger.seal();
  ledger.commit();
  return note;
}

/** Stream names that mix new streams with ones that go on. */
export function streamNames(from: number, count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => `dec_${String((from + i) % 7 === 6 ? from + i - 6 : from + i)}`,
  );
}

/** Commits `entries` in batches of `size`. */
export function grow(ledger: LedgerWriter, entries: number, size: number): void {
  for (let left = entries; left > 0; left -= size) {
    commitBatch(ledger, streamNames(ledger.size, Math.min(size, left)));
  }
}

/** What the daemon does within a second of a commit. */
export function storeHead(files: Files, ledger: LedgerWriter): void {
  const heads = openHeadStore(files.head);
  saveHead(heads, ledger);
  heads.close();
}

export function check(files: Files): Truth {
  return checkLedger(files, TRUST);
}

/** Copies a ledger's files, logs included, as a crash would leave them. */
export function copyFiles(from: Files, to: Files): void {
  for (const name of ['ledger', 'head'] as const) {
    copyFileSync(from[name], to[name]);
    if (existsSync(`${from[name]}-wal`)) copyFileSync(`${from[name]}-wal`, `${to[name]}-wal`);
  }
}

/** Someone who can write the file: drops the triggers, changes rows, puts the triggers back. */
export function attack(files: Files, change: (database: Database) => void): void {
  const database = openDatabase(files.ledger, { kind: LEDGER_KIND });
  const triggers = LEDGER_OBJECTS.filter((object) => object.type === 'trigger');
  for (const { name } of triggers) database.exec(`DROP TRIGGER ${name}`);
  change(database);
  for (const { sql } of triggers) database.exec(sql);
  database.close();
}
