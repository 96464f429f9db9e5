import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { decodeEntryBundle } from '../../daemon/formats/tile.ts';
import {
  type ArchivedEntry,
  ArchiveFile,
  archiveName,
  encodeArchive,
  isArchiveName,
} from '../../daemon/ledger/archive-file.ts';
import { streamOfText } from '../../daemon/ledger/segments.ts';
import { temporaryDir } from '../host/temporary.ts';

const ORIGIN = 'outpost-7.example/ledger';

function entriesOf(count: number, first = 0): ArchivedEntry[] {
  return Array.from({ length: count }, (_, at) => ({
    bytes: Buffer.from(`{"entry":${first + at},"pad":"${'x'.repeat(at % 50)}"}`),
    previous: at % 3 === 0 ? null : first + at - 1,
  }));
}

const hasZstd = spawnSync('zstd', ['--version']).status === 0;

describe('an archive file', () => {
  test('gives back every entry with its predecessor, in any order', () => {
    const entries = entriesOf(1_024, 512);
    const file = new ArchiveFile(encodeArchive(ORIGIN, 512, entries));
    expect(file).toMatchObject({ origin: ORIGIN, first: 512, until: 1_536 });
    for (let at = 0; at < 1_024; at += 1) {
      const index = 512 + ((at * 613) % 1_024);
      const { bytes, previous } = file.entry(index);
      expect(Buffer.from(bytes).equals(entries[index - 512]?.bytes as Buffer)).toBe(true);
      expect(previous).toBe(entries[index - 512]?.previous);
    }
    expect(() => file.entry(511)).toThrow(BoundaryError);
    expect(() => file.entry(1_536)).toThrow(BoundaryError);
  });

  test('is made of whole tiles only', () => {
    expect(() => encodeArchive(ORIGIN, 0, entriesOf(255))).toThrow(RangeError);
    expect(() => encodeArchive(ORIGIN, 0, [])).toThrow(RangeError);
  });

  test.skipIf(!hasZstd)(
    `is what zstd unpacks to entry bundles${hasZstd ? '' : ' (skipped: no zstd)'}`,
    () => {
      const entries = entriesOf(512);
      const path = join(temporaryDir(), 'a.zst');
      writeFileSync(path, encodeArchive(ORIGIN, 0, entries));
      const { stdout, status } = spawnSync('zstd', ['-dc', path]);
      expect(status).toBe(0);
      const half = stdout.length - entries.slice(256).reduce((sum, { bytes }) => sum + 2 + bytes.length, 0);
      const unpacked = [
        ...decodeEntryBundle(stdout.subarray(0, half)),
        ...decodeEntryBundle(stdout.subarray(half)),
      ];
      expect(unpacked.map((bytes) => Buffer.from(bytes).toString())).toEqual(
        entries.map(({ bytes }) => Buffer.from(bytes).toString()),
      );
    },
  );

  test('that was cut, filled up or changed in its form is refused, or gives what it says; nothing else happens', () => {
    const whole = encodeArchive(ORIGIN, 0, entriesOf(512));
    const read = (bytes: Uint8Array): void => {
      try {
        const file = new ArchiveFile(bytes);
        for (let index = file.first; index < file.until; index += 37) file.entry(index);
      } catch (error) {
        expect(error).toBeInstanceOf(BoundaryError);
      }
    };
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Uint8Array.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        read(bytes);
        read(whole.subarray(0, at));
        read(Buffer.concat([whole, whole.subarray(0, at)]));
      }),
      { numRuns: 150 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read));
  });

  test('has a name that no path hides in', () => {
    expect(isArchiveName(archiveName(4_096, 8_192))).toBe(true);
    for (const name of [
      '../x.entries.zst',
      '000000000000-000000000256.entries.zst/..',
      '0-256.entries.zst',
      '',
    ]) {
      expect(isArchiveName(name)).toBe(false);
    }
  });
});

describe('the stream of an entry', () => {
  const entry = (data: string, stream: string): string =>
    `{"actor":{"id":null,"role":null},"at":"2031-01-01T00:00:00.000Z","data":${data},"prev":null,"seq":0,"site":"s.example","stream":${JSON.stringify(stream)},"time_trust":"trusted","type":"system.started","v":1}`;

  test('is told by the end of its text, whatever its data says', () => {
    const forged = `{"x":${JSON.stringify(entry('{}', 'dec_forged'))},"y":${entry('{}', 'dec_forged')}}`;
    expect(streamOfText(entry(forged, 'policy'))).toBe('policy');
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ minLength: 1, maxLength: 60 }), (data, stream) => {
        fc.pre(stream.isWellFormed());
        expect(streamOfText(entry(JSON.stringify({ data }), stream))).toBe(stream);
      }),
    );
    expect(streamOfText('{"stream":"dec_a"}')).toBeNull();
  });
});
