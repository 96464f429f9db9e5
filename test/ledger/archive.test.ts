import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../../daemon/formats/digest.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { temporaryDir } from '../host/temporary.ts';
import { archive, carry, commitStreams } from './archive-world.ts';
import { create, type Files, filesIn, open, storeHead, TRUST } from './fixture.ts';

let files: Files;

beforeEach(() => {
  files = filesIn(temporaryDir());
});

/** Everything that can be read of a ledger: entries, streams, proofs. */
function everything(
  ledger: Pick<LedgerWriter, 'size' | 'entry' | 'entries' | 'stream' | 'inclusionProof' | 'consistencyProof'>,
  size: number,
) {
  const hex = (parts: readonly Uint8Array[]) => parts.map(toHex).join();
  const streams = ['system', 'dec_a', 'dec_b', 'dec_c', 'dec_d'];
  return {
    entries: Array.from({ length: size }, (_, index) => toHex(ledger.entry(index) ?? new Uint8Array())),
    pages: ledger.entries(0, size).map(({ index, bytes }) => `${index} ${toHex(bytes)}`),
    streams: streams.map((stream) =>
      ledger
        .stream(stream)
        .filter(({ index }) => index < size)
        .map(({ index, bytes }) => `${index} ${toHex(bytes)}`),
    ),
    inclusion: Array.from({ length: size }, (_, index) => hex(ledger.inclusionProof(index, size))),
    consistency: Array.from({ length: size }, (_, from) => hex(ledger.consistencyProof(from, size))),
  };
}

describe('an archived segment', () => {
  test('leaves everything readable, and every proof as it was', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('system', 'dec_a', 'dec_b', 'dec_c', 'dec_d'), {
          minLength: 800,
          maxLength: 900,
        }),
        fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }),
        (streams, tiles) => {
          const own = filesIn(temporaryDir());
          const ledger = create(own);
          for (let at = 0; at < streams.length; at += 50) commitStreams(ledger, streams.slice(at, at + 50));
          const size = ledger.size;
          const before = everything(ledger, size);
          for (const n of tiles) archive(ledger, n * 256, (n + 1) * 256);
          expect(everything(ledger, size)).toEqual(before);
          storeHead(own, ledger);
          ledger.close();
          const again = open(own);
          expect(everything(again, size)).toEqual(before);
          commitStreams(again, ['dec_a', 'dec_new', 'system']);
          again.close();
          const view = viewLedger(own.ledger, TRUST);
          expect(everything(view, size)).toEqual(before);
          view.close();
        },
      ),
      { numRuns: 3, endOnFailure: true },
    );
  }, 60_000);

  test('is said to be elsewhere once its file was carried off', () => {
    const ledger = create(files);
    commitStreams(
      ledger,
      Array.from({ length: 600 }, (_, at) => `dec_${at}`),
    );
    archive(ledger, 0, 256);
    carry(ledger, 0);
    rmSync(join(ledger.archive.directory, '000000000000-000000000256.entries.zst'));
    const anew = viewLedger(files.ledger, TRUST);
    expect(() => anew.entry(3)).toThrow(/carried off \(cabinet 3\)/);
    expect(() => anew.entries(200, 100)).toThrow(/Entries 0 to 255 are in the archive file/);
    expect(anew.entries(256, 10)).toHaveLength(10);
    anew.close();
    ledger.close();
  });
});
