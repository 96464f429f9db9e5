import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex, toHex } from '../../daemon/formats/digest.ts';
import { encodeEntry } from '../../daemon/formats/entry.ts';
import { writeDurable } from '../../daemon/host/durable-file.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { archiveName, encodeArchive } from '../../daemon/ledger/archive-file.ts';
import { isArchivable, keptOf, RETENTION_STREAM, streamOfText } from '../../daemon/ledger/segments.ts';
import { nextEntry, SITE } from './fixture.ts';

/** Appends one batch, one entry for each stream named; streams of decisions and others. */
export function commitStreams(ledger: LedgerWriter, streams: readonly string[]): void {
  ledger.begin();
  for (const stream of streams) {
    const type = isArchivable(stream) ? undefined : 'system.heartbeat';
    ledger.append(stream, nextEntry(ledger, stream, `d ${ledger.size}`, type));
  }
  ledger.seal();
  ledger.commit();
}

/** Writes the archive file of a segment, as the daemon does. */
export function writeArchive(ledger: LedgerWriter, first: number, until: number) {
  const rows = ledger.database
    .prepare<{ previous: number | null; bytes: Uint8Array }>(
      'SELECT prev_idx AS previous, bytes FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx',
    )
    .all(first, until);
  const bytes = encodeArchive(ledger.origin, first, rows);
  const name = archiveName(first, until);
  mkdirSync(ledger.archive.directory, { recursive: true });
  writeDurable(join(ledger.archive.directory, name), bytes, 0o600);
  const kept = rows.flatMap((row, at) => {
    const stream = streamOfText(Buffer.from(row.bytes).toString('utf8'));
    return stream !== null && isArchivable(stream) ? [] : [first + at];
  });
  return { name, bytes: bytes.length, sha256: sha256Hex(bytes), kept: keptOf(kept) };
}

/** Commits a `ledger.pruned` entry. */
export function recordPruned(ledger: LedgerWriter, data: Parameters<typeof encodeEntry>[0]['data']): void {
  ledger.begin();
  const { seq, prev } = ledger.streamHead(RETENTION_STREAM);
  const entry = encodeEntry({
    v: 1,
    site: SITE,
    type: 'ledger.pruned',
    at: '2026-02-03T04:05:06.789Z',
    time_trust: 'trusted',
    stream: RETENTION_STREAM,
    seq,
    prev,
    actor: { id: null, role: 'system' },
    data,
  });
  ledger.append(RETENTION_STREAM, entry);
  ledger.seal();
  ledger.commit();
}

/** Archives a segment: file, entry, and all rounds of removing. */
export function archive(ledger: LedgerWriter, first: number, until: number, round = 100): void {
  const { kept, ...file } = writeArchive(ledger, first, until);
  recordPruned(ledger, {
    step: 'archived',
    first,
    until,
    kept: { ...kept },
    file,
    root: toHex(ledger.root(until)),
  });
  while (ledger.clear(first, round) > 0);
}

/** Records that a segment's file was carried off. */
export function carry(ledger: LedgerWriter, first: number): void {
  const segment = ledger.archive.segmentAt(first);
  if (segment === null) throw new Error('no such segment');
  const { until, file } = segment;
  recordPruned(ledger, { step: 'carried', first, until, file: { ...file }, to: 'cabinet 3' });
}
