import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { BoundaryError } from '../formats/boundary-error.ts';
import { ageDecryption } from '../host/age.ts';
import type { Member } from './contents.ts';
import { malformedBackup } from './manifest.ts';

/** The largest that a backup holds is a part of a file, or a page of rows. */
const MEMBER_MAX_BYTES = 256 * 1024 * 1024;
const MEMBERS_MAX = 10_000_000;
/** Relative, no empty, dotted or hidden parts: a name can lead nowhere but below where it is put. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,254}(\/[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,254}){0,20}$/;

/**
 * The files of a backup in their order. What is given out is authentic to one of the recipients' keys, and complete only
 * when the generator has ended: nothing may be relied on before. Throws `BoundaryError` `age.*`, `backup.malformed`, or
 * the system's error.
 */
export async function* readBackup(path: string, identities: readonly string[]): AsyncGenerator<Member> {
  const archive = extract();
  let failure: unknown = null;
  const flow = pipeline(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
    ageDecryption(identities),
    createZstdDecompress({ chunkSize: 1024 * 1024 }),
    archive,
  ).catch((error: unknown) => {
    failure = error;
  });
  let members = 0;
  try {
    for await (const entry of archive) {
      const { name, type, size } = entry.header;
      if (type !== 'file' || !NAME.test(name) || ++members > MEMBERS_MAX)
        throw malformedBackup(
          `it holds ${JSON.stringify(name.slice(0, 80))}, which does not belong into one`,
        );
      if ((size ?? 0) > MEMBER_MAX_BYTES) throw malformedBackup(`${name} in it is too large`);
      const pieces: Buffer[] = [];
      for await (const piece of entry) pieces.push(piece as Buffer);
      yield { name, bytes: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces) };
    }
  } catch (error) {
    await flow;
    throw worded(failure ?? error);
  }
  await flow;
  if (failure !== null) throw worded(failure);
}

/** What the tar or the compression complains about is no defect of ours. */
function worded(error: unknown): unknown {
  if (error instanceof BoundaryError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isContent =
    code === '' || code.startsWith('ZSTD') || code.startsWith('ERR_STREAM') || code.startsWith('Z_');
  return isContent
    ? malformedBackup('what was encrypted is no archive of holdfast, or is cut off', error)
    : error;
}
